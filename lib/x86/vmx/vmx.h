/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX operation: the instructions, each with its outcome as a value, and turning it on.
 * SDM volume 3C, "Introduction to Virtual Machine Extensions" and "VMX Instruction Reference".
 */
#ifndef LIB_X86_VMX_VMX_H
#define LIB_X86_VMX_VMX_H

#include "cpuid.h"
#include "extable.h"
#include "vmx/controls.h"
#include "vmx/vmcs.h"

#define FEATURE_CONTROL_LOCK	    BIT(0)
#define FEATURE_CONTROL_VMX	    BIT(2) /* outside SMX operation */

/*
 * What a VMX instruction came to: a fault (struct fault's value), VMsucceed, VMfailInvalid,
 * or VMfailValid with the error number. "Conventions".
 */
struct vmx_result {
	u32 value;
};

#define VMX_SUCCEED_VALUE	 0u
#define VMX_FAIL_INVALID_VALUE	 (1u << 30)
#define VMX_FAIL_VALID_VALUE(n)	 (1u << 29 | (n))
#define VMX_SUCCEED		 ((struct vmx_result){ VMX_SUCCEED_VALUE })
#define VMX_FAIL_INVALID	 ((struct vmx_result){ VMX_FAIL_INVALID_VALUE })
#define VMX_FAIL_VALID(n)	 ((struct vmx_result){ VMX_FAIL_VALID_VALUE(n) })
#define VMX_FAULT(fault)	 ((struct vmx_result){ (fault).value })

/* "#GP(0)", "VMsucceed", "VMfailInvalid", "VMfailValid 4 (VMLAUNCH_NON_CLEAR)" */
int vmx_result_format(char *buffer, size_t size, struct vmx_result result);

/* For the wrappers below: makes a result of a fault and the flags. */
struct vmx_result vmx_result(struct fault fault, bool carry, bool zero);

#define VMX_INSTRUCTION(text, ...)                                                                 \
	({                                                                                         \
		struct fault vmx_fault_;                                                           \
		bool carry_, zero_;                                                                \
		asm volatile(TRY(text)                                                             \
			     : TRY_RESULT(vmx_fault_), "=@ccc"(carry_), "=@ccz"(zero_)             \
			     : __VA_ARGS__                                                         \
			     : "memory");                                                          \
		vmx_result(vmx_fault_, carry_, zero_);                                             \
	})

static inline struct vmx_result vmxon(u64 address)
{
	return VMX_INSTRUCTION("vmxon %[address]", [address] "m"(address));
}

static inline struct vmx_result vmxoff(void)
{
	return VMX_INSTRUCTION("vmxoff", "i"(0));
}

static inline struct vmx_result vmclear(u64 address)
{
	return VMX_INSTRUCTION("vmclear %[address]", [address] "m"(address));
}

static inline struct vmx_result vmptrld(u64 address)
{
	return VMX_INSTRUCTION("vmptrld %[address]", [address] "m"(address));
}

static inline struct vmx_result vmptrst(u64 *address)
{
	return VMX_INSTRUCTION("vmptrst (%[address])", [address] "r"(address));
}

static inline struct vmx_result vmread(ulong field, ulong *value)
{
	return VMX_INSTRUCTION("vmread %[field], (%[value])",
			       [field] "r"(field), [value] "r"(value));
}

static inline struct vmx_result vmwrite(ulong field, ulong value)
{
	return VMX_INSTRUCTION("vmwrite %[value], %[field]",
			       [field] "r"(field), [value] "r"(value));
}

struct invept_descriptor {
	u64 eptp, reserved;
};

struct invvpid_descriptor {
	u16 vpid, reserved[3];
	u64 linear;
};

static inline struct vmx_result invept(ulong type, const struct invept_descriptor *descriptor)
{
	return VMX_INSTRUCTION("invept %[descriptor], %[type]",
			       [type] "r"(type), [descriptor] "m"(*descriptor));
}

static inline struct vmx_result invvpid(ulong type, const struct invvpid_descriptor *descriptor)
{
	return VMX_INSTRUCTION("invvpid %[descriptor], %[type]",
			       [type] "r"(type), [descriptor] "m"(*descriptor));
}

/* Fields of the current VMCS, 64-bit ones by two accesses in 32-bit modes; a failure is a crash. */
u64 vmcs_read(u32 field);
void vmcs_write(u32 field, u64 value);
extern unsigned int vmcs_writes; /* how many there were */

/*
 * True if this CPU has VMX and IA32_FEATURE_CONTROL allows it; else skips the subtest, which then
 * returns. All CPUs are in VMX root operation afterwards, each with a VMXON region.
 */
bool vmx_ready(void);

/* The calling CPU's, for tests of VMXON itself; and a page with the revision id, as it needs. */
u64 vmx_on_region(void);
void *vmx_region(void);

#endif
