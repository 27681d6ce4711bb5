/* SPDX-License-Identifier: BSD-2-Clause */
/* A field of a VMCB as a value, for tables: where it lies, and how large it is. */
#ifndef LIB_X86_SVM_FIELD_H
#define LIB_X86_SVM_FIELD_H

#include "string.h"
#include "svm/vmcb.h"

struct field {
	u16 offset;
	u8 size;
};

/* FIELD_VALUE() for static tables. */
#define FIELD_VALUE(name)                                                                          \
	{                                                                                          \
		offsetof(struct vmcb, name), sizeof(((struct vmcb *)0)->name)                      \
	}
#define FIELD(name) ((struct field)FIELD_VALUE(name))

static inline u64 field_get(const struct vmcb *vmcb, struct field field)
{
	u64 value = 0;

	memcpy(&value, (const u8 *)vmcb + field.offset, field.size);
	return value;
}

static inline void field_set(struct vmcb *vmcb, struct field field, u64 value)
{
	memcpy((u8 *)vmcb + field.offset, &value, field.size);
}

#endif
