/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fault as a value: which exception an instruction raised, if any.
 *
 * One integer holds the vector, the error code and whether there was either,
 * so that an expectation is one comparison and #DE (vector 0) is not "none":
 *
 *	15:0	error code
 *	23:16	vector
 *	24	there is an error code
 *	25	bit 31 of the error code (AMD: RMP violation)
 *	31	an exception was raised
 */
#ifndef LIB_FAULT_H
#define LIB_FAULT_H

#include "types.h"

/* Vectors: SDM volume 3A, "Exceptions and Interrupts"; APM volume 2, 8.2. */
enum vector {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_BP = 3,
	VECTOR_OF = 4,
	VECTOR_BR = 5,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_CSO = 9, /* coprocessor segment overrun, 386 only */
	VECTOR_TS = 10,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_MC = 18,
	VECTOR_XM = 19,
	VECTOR_VE = 20,
	VECTOR_CP = 21,
	VECTOR_HV = 28,
	VECTOR_VC = 29,
	VECTOR_SX = 30,
};

struct fault {
	u32 value;
};

#define FAULT_RAISED		 (1u << 31)
#define FAULT_ERROR_CODE_BIT31	 (1u << 25)
#define FAULT_HAS_ERROR_CODE	 (1u << 24)
#define FAULT_VECTOR_SHIFT	 16
#define FAULT_ERROR_CODE_MASK	 0xffffu

/* For static tables: { FAULT_VALUE(VECTOR_UD) }, { FAULT_VALUE_EC(VECTOR_GP, 0) }. */
#define FAULT_VALUE(vector)	 (FAULT_RAISED | (u32)(vector) << FAULT_VECTOR_SHIFT)
#define FAULT_VALUE_EC(vector, error_code)                                                         \
	(FAULT_VALUE(vector) | FAULT_HAS_ERROR_CODE | ((u32)(error_code) & FAULT_ERROR_CODE_MASK))

#define NO_FAULT		 ((struct fault){ 0 })
#define FAULT(vector)		 ((struct fault){ FAULT_VALUE(vector) })
#define FAULT_EC(vector, ec)	 ((struct fault){ FAULT_VALUE_EC(vector, ec) })

#define FAULT_DE		 FAULT(VECTOR_DE)
#define FAULT_DB		 FAULT(VECTOR_DB)
#define FAULT_BP		 FAULT(VECTOR_BP)
#define FAULT_OF		 FAULT(VECTOR_OF)
#define FAULT_BR		 FAULT(VECTOR_BR)
#define FAULT_UD		 FAULT(VECTOR_UD)
#define FAULT_NM		 FAULT(VECTOR_NM)
#define FAULT_MF		 FAULT(VECTOR_MF)
#define FAULT_XM		 FAULT(VECTOR_XM)
#define FAULT_TS(ec)		 FAULT_EC(VECTOR_TS, ec)
#define FAULT_NP(ec)		 FAULT_EC(VECTOR_NP, ec)
#define FAULT_SS(ec)		 FAULT_EC(VECTOR_SS, ec)
#define FAULT_GP(ec)		 FAULT_EC(VECTOR_GP, ec)
#define FAULT_PF(ec)		 FAULT_EC(VECTOR_PF, ec)
#define FAULT_AC		 FAULT_EC(VECTOR_AC, 0)

static inline bool fault_raised(struct fault fault)
{
	return fault.value & FAULT_RAISED;
}

static inline bool fault_equal(struct fault a, struct fault b)
{
	return a.value == b.value;
}

static inline unsigned int fault_vector(struct fault fault)
{
	return fault.value >> FAULT_VECTOR_SHIFT & 0xff;
}

static inline bool fault_has_error_code(struct fault fault)
{
	return fault.value & FAULT_HAS_ERROR_CODE;
}

static inline u32 fault_error_code(struct fault fault)
{
	return (fault.value & FAULT_ERROR_CODE_MASK) |
	       (fault.value & FAULT_ERROR_CODE_BIT31 ? 1u << 31 : 0);
}

/* Its vector alone, for a comparison that leaves the error code to another; no fault stays that. */
static inline struct fault fault_without_error_code(struct fault fault)
{
	return (struct fault){ fault.value & ~(FAULT_HAS_ERROR_CODE | FAULT_ERROR_CODE_BIT31 |
					       FAULT_ERROR_CODE_MASK) };
}

static inline struct fault fault_make(unsigned int vector, bool has_error_code, u32 error_code)
{
	struct fault fault = FAULT(vector);

	if (has_error_code)
		fault.value |= FAULT_HAS_ERROR_CODE | (error_code & FAULT_ERROR_CODE_MASK) |
			       (error_code >> 31 ? FAULT_ERROR_CODE_BIT31 : 0);
	return fault;
}

/* "#GP" for 13; "vector 40" has no name and gives NULL. */
const char *vector_name(unsigned int vector);

/* Writes "#GP(0x18)", "#UD", "vector 33", "no fault"; returns the length as snprintf does. */
int fault_format(char *buffer, size_t size, struct fault fault);

#endif
