/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM entries that must fail, each next to one that must not: one field of a VMCS that enters is
 * changed, and put back. SDM volume 3C, "VM Entries".
 *
 *	ENTRY_SUBTEST("link-pointer", test_link_pointer);
 *
 * Besides its rows each such subtest has two checks of all of them: "unchanged", that an entry
 * that failed has left guest-state area and event alone ("VM-Entry Failures During or After Loading
 * Guest State"), and host and exit reason too if it was no exit; and "next-entry", that the next
 * legal one then works.
 */
#ifndef LIB_X86_VMX_ENTRY_H
#define LIB_X86_VMX_ENTRY_H

#include "vmx/test.h"

/* Who finds it, and so how an entry fails. */
enum refusal {
	BY_CONTROLS,	  /* VMfailValid, error 7 */
	BY_HOST_STATE,	  /* error 8 */
	BY_ADDRESS_SPACE, /* either: these checks are about both */
	BY_GUEST_STATE,	  /* exit 33, qualification 0 */
	BY_PDPTE,	  /* qualification 2 */
	BY_NMI,		  /* qualification 3 */
	BY_LINK_POINTER,  /* qualification 4 */
	BY_MSR_LOADING,	  /* exit 34; the number of the MSR area's entry, from 1, is to be added */
};

/*
 * A guest of that mode, the same one in each call, as vmx_guest() leaves it, and current. Its code
 * counts in BX and executes VMCALL.
 */
struct vmx_guest *entry_guest(enum l2_mode mode);

/* A legal entry of this guest ends otherwise (until the next entry_guest()). */
void entry_ends_with(u32 reason);

/* Runs up to the next exit; then the guest's fields are as before. What the exit tells stays. */
u32 entry_run(struct vmx_guest *guest);

/* The entry must succeed, with the VMCS as it is, or with that value in a field. */
void must_enter(struct vmx_guest *guest, const char *id, ...) __printf(2, 3);
void must_enter_with(struct vmx_guest *guest, u32 field, u64 value, const char *id, ...)
    __printf(4, 5);

/* It must fail with that value; the field is as before then. */
void must_refuse(struct vmx_guest *guest, unsigned int refusal, u32 field, u64 value,
		 const char *id, ...) __printf(5, 6);

/* must_refuse(), must_enter_with() for each of some bits inverted alone: "id.bit-N". */
void must_refuse_bits(struct vmx_guest *guest, unsigned int refusal, u32 field, u64 bits,
		      const char *id);
void must_enter_bits(struct vmx_guest *guest, u32 field, u64 bits, const char *id);

/* What becomes of a value that the manual leaves open. */
void may_refuse(struct vmx_guest *guest, u32 field, u64 value, const char *what);

/* Bits that no physical address has; those of one in a VMCS ("Basic VMX Information"). */
u64 entry_bits_beyond_memory(void);

/* Addresses: the first that is not canonical, and others; those that are, whatever the width. */
struct entry_address {
	const char *id;
	u64 value;
};
extern const struct entry_address entry_canonical[3];
const struct entry_address *entry_not_canonical(void); /* up to an id NULL */

#define ENTRY_SUBTEST(subtest_name, function)                                                      \
	static void CONCAT(entry_subtest_, __LINE__)(void)                                         \
	{                                                                                          \
		function();                                                                        \
		entry_check_failures();                                                            \
	}                                                                                          \
	VMX_SUBTEST(subtest_name, CONCAT(entry_subtest_, __LINE__))

/* The checks "unchanged" and "next-entry"; none if no entry has failed since the last call. */
void entry_check_failures(void);

#endif
