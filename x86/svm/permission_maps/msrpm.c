// SPDX-License-Identifier: BSD-2-Clause
/*
 * The MSR permissions map: two bits, read and write, for each MSR of three ranges; what is in
 * none of them is always intercepted. APM volume 2, 15.11.
 *
 * MSRs that L2 may not read or write without a #GP are as good as others here: the
 * intercept is checked before what is specific to an MSR, and where there is none the #GP shows it.
 */
#include "msr.h"
#include "permission_maps.h"
#include "string.h"

#define READ  1
#define WRITE 2

L2_CODE(read_msr, "rdmsr\n vmmcall");
L2_CODE(write_msr, "wrmsr\n vmmcall");

static const struct {
	const char *name;
	const u8 *code;
	u8 bit;
	u8 info; /* EXITINFO1 */
} accesses[] = { { "read", read_msr, READ, 0 }, { "write", write_msr, WRITE, 1 } };

static const struct {
	const char *name;
	u32 first;
} ranges[] = { { "0", 0 }, { "c0000000", 0xc0000000 }, { "c0010000", 0xc0010000 } };

static struct svm_guest *prepare(const u8 *code, u32 msr)
{
	struct svm_guest *guest = maps_guest(L2_NATIVE, code);

	svm_intercept(guest, VMEXIT_MSR);
	guest->world.registers.cx = msr;
	return guest;
}

static void set_bits(struct svm_guest *guest, u32 msr, u8 bits)
{
	svm_intercept_msr(guest, msr, bits & READ, bits & WRITE);
}

static void clear_bits(struct svm_guest *guest, u32 msr, u8 bits)
{
	unsigned int range = msr < 0x2000 ? 0 : msr >> 16 == 0xc000 ? 1 : 2;

	guest->msrpm[range * 2048 + (msr & 0x1fff) / 4] &= ~(bits << (msr & 3) * 2);
}

/* L2 went past the intercept: the instruction was executed, or its MSR is not there. */
static bool passed(const struct svm_guest *guest)
{
	u64 code = guest->vmcb->control.exitcode;

	return code == VMEXIT_VMMCALL || code == VMEXIT_EXCP + VECTOR_GP;
}

/*
 * First and last MSR of each range: none, one and both of its bits. Writes that pass are of 0
 * to MSRs that do not exist or do not mind (MC0_ADDR, PerfEvtSel0).
 */
static void test_msr(u32 msr)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
		for (u8 bits = 0; bits <= (READ | WRITE); bits++) {
			struct svm_guest *guest = prepare(accesses[i].code, msr);

			set_bits(guest, msr, bits);
			svm_run(guest);
			if (bits & accesses[i].bit)
				check_exit(guest, VMEXIT_MSR, "%x.%s.bits-%u", msr,
					   accesses[i].name, bits);
			else
				check(passed(guest), "%x.%s.bits-%u", msr, accesses[i].name, bits);
		}
	}
}

static void test_ends(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		test_msr(ranges[i].first);
		test_msr(ranges[i].first + 0x1fff);
	}
}
SVM_SUBTEST("msrpm.ends", test_ends);

/* The bits of all other MSRs, and those of the reserved vector, say nothing about this one. */
static void test_others(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (u32 last = 0; last <= 0x1fff; last += 0x1fff) {
			u32 msr = ranges[i].first + last;

			for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
				struct svm_guest *guest = prepare(accesses[n].code, msr);

				memset(guest->msrpm, 0xff, MSRPM_SIZE);
				clear_bits(guest, msr, READ | WRITE);
				svm_run(guest);
				check(passed(guest), "%x.%s", msr, accesses[n].name);
			}
		}
	}
}
SVM_SUBTEST("msrpm.others", test_others);

/*
 * Every bit of an MSR's number, in each range: its own bit alone intercepts it. A read passes
 * where the write bit alone is set; no write does, of an MSR that may mean something.
 */
static void test_every_bit(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (unsigned int bit = 0; bit < 13; bit++) {
			u32 msr = ranges[i].first + (1u << bit);
			struct svm_guest *guest = prepare(read_msr, msr);

			set_bits(guest, msr, READ);
			svm_run(guest);
			check_exit(guest, VMEXIT_MSR, "%x.read", msr);
			guest = prepare(write_msr, msr);
			set_bits(guest, msr, WRITE);
			svm_run(guest);
			check_exit(guest, VMEXIT_MSR, "%x.write", msr);
			guest = prepare(read_msr, msr);
			memset(guest->msrpm, 0xff, MSRPM_SIZE);
			clear_bits(guest, msr, READ);
			svm_run(guest);
			check(passed(guest), "%x.read-with-the-write-bit", msr);
		}
	}
}
SVM_SUBTEST("msrpm.every-bit", test_every_bit);

/* 15.11: what the map does not cover is intercepted with MSR_PROT, and not without. */
static void test_uncovered(void)
{
	static const u32 msrs[] = {
		0x2000,	    0x3fff,	0xffff,	    0x10000,	0x40000000, 0x7fffffff,
		0x80000000, 0xbfff0000, 0xbfffffff, 0xc0002000, 0xc000ffff, 0xc0012000,
		0xc001ffff, 0xc0020000, 0xc0021fff, 0xc0100000, 0xd0000000, 0xffffffff,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
			struct svm_guest *guest = prepare(accesses[n].code, msrs[i]);

			svm_run(guest);
			check_exit(guest, VMEXIT_MSR, "%x.%s", msrs[i], accesses[n].name);
		}
	}
}
SVM_SUBTEST("msrpm.uncovered", test_uncovered);

/* 15.11: without MSR_PROT no MSR is intercepted, covered or not. */
static void test_off(void)
{
	static const u32 msrs[] = { 0,		0x1fff,	    0x2000,    0xc0001fff,
				    0xc0002000, 0xc0011fff, 0xffffffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
			struct svm_guest *guest = prepare(accesses[n].code, msrs[i]);

			memset(guest->msrpm, 0xff, MSRPM_SIZE);
			svm_no_intercept(guest, VMEXIT_MSR);
			svm_run(guest);
			check(passed(guest), "%x.%s", msrs[i], accesses[n].name);
		}
	}
}
SVM_SUBTEST("msrpm.off", test_off);

/* 15.11: EXITINFO1 tells a read from a write; the instruction has done nothing. */
static void test_information(void)
{
	for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
		struct svm_guest *guest = prepare(accesses[n].code, MSR_IA32_SYSENTER_EIP);
		u64 before;

		prefix_push("%s", accesses[n].name);
		set_bits(guest, MSR_IA32_SYSENTER_EIP, READ | WRITE);
		guest->vmcb->save.rax = 0x12345678;
		guest->world.registers.dx = 0x9abcdef0;
		guest->vmcb->save.sysenter_eip = before = 0x55aa;
		svm_run(guest);
		check_exit(guest, VMEXIT_MSR, "exit");
		check_equal(guest->vmcb->control.exitinfo1, accesses[n].info, "exitinfo1");
		check_equal(svm_rip(guest), (ulong)accesses[n].code, "rip");
		check_equal(guest->vmcb->save.rax, 0x12345678, "rax");
		check_equal(guest->world.registers.dx, 0x9abcdef0, "rdx");
		check_equal(guest->world.registers.cx, MSR_IA32_SYSENTER_EIP, "rcx");
		check_equal(guest->vmcb->save.sysenter_eip, before, "msr");
		check_next_rip(guest, (ulong)accesses[n].code + 2);
		prefix_pop();
	}
}
SVM_SUBTEST("msrpm.information", test_information);

#ifdef __x86_64__
/* RDMSR and WRMSR take the number from ECX. */
static void test_ecx(void)
{
	for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
		struct svm_guest *guest = prepare(accesses[n].code, 0);

		guest->world.registers.cx = 0xdeadbeef00000000 | MSR_LSTAR;
		set_bits(guest, MSR_LSTAR, READ | WRITE);
		svm_run(guest);
		check_exit(guest, VMEXIT_MSR, "%s.set", accesses[n].name);
		guest = prepare(accesses[n].code, 0);
		guest->world.registers.cx = 0xdeadbeef00000000 | MSR_LSTAR;
		svm_run(guest);
		check_exit(guest, VMEXIT_VMMCALL, "%s.clear", accesses[n].name);
	}
}
SVM_SUBTEST("msrpm.ecx", test_ecx);
#endif

/* 15.11: first what is common to all MSRs, then the intercept, then the MSR's own exceptions. */
static void test_priority(void)
{
	static const u32 unimplemented = 0xc0001ffe;
	struct svm_guest *guest;

	for (unsigned int n = 0; n < ARRAY_SIZE(accesses); n++) {
		guest = prepare(accesses[n].code, MSR_EFER);
		set_bits(guest, MSR_EFER, READ | WRITE);
		svm_enter_ring3(guest);
		svm_run(guest);
		check_exit(guest, VMEXIT_EXCP + VECTOR_GP, "%s.ring3", accesses[n].name);

		guest = prepare(accesses[n].code, unimplemented);
		set_bits(guest, unimplemented, READ | WRITE);
		svm_run(guest);
		check_exit(guest, VMEXIT_MSR, "%s.unimplemented", accesses[n].name);
	}
	guest = prepare(write_msr, MSR_EFER);
	set_bits(guest, MSR_EFER, WRITE);
	guest->vmcb->save.rax = guest->world.registers.dx = 0xffffffff;
	svm_run(guest);
	check_exit(guest, VMEXIT_MSR, "write.reserved-bits");
	guest->msrpm[2048 + (MSR_EFER & 0x1fff) / 4] = 0;
	svm_run(guest);
	check_exit(guest, VMEXIT_EXCP + VECTOR_GP, "write.reserved-bits.off");
}
SVM_SUBTEST("msrpm.priority", test_priority);

/* 15.11: VMRUN ignores the address's low 12 bits. */
static void test_address(void)
{
	struct svm_guest *guest = prepare(read_msr, MSR_STAR);

	set_bits(guest, MSR_STAR, READ);
	guest->vmcb->control.msrpm_base_pa |= 0xfff;
	svm_run(guest);
	check_exit(guest, VMEXIT_MSR, "low-bits.set");
	guest = prepare(read_msr, MSR_STAR);
	guest->vmcb->control.msrpm_base_pa |= 0xfff;
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "low-bits.clear");
}
SVM_SUBTEST("msrpm.address", test_address);

/* The map may change between two runs; two VMCBs have a map each. MSRs that KVM gives to L2. */
static void test_change(void)
{
	static const u32 msrs[] = { MSR_STAR, MSR_IA32_SYSENTER_CS, MSR_KERNEL_GS_BASE };
	struct svm_guest *other = svm_guest(L2_NATIVE, read_msr);

	svm_intercept(other, VMEXIT_MSR);
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++) {
		struct svm_guest *guest = prepare(read_msr, msrs[i]);

		if (sizeof(ulong) == 4 && msrs[i] == MSR_KERNEL_GS_BASE)
			continue;
		for (unsigned int n = 0; n < 2; n++) {
			set_bits(guest, msrs[i], READ);
			svm_run(guest);
			check_exit(guest, VMEXIT_MSR, "%x.set.%u", msrs[i], n);

			other->vmcb->save.rip = (ulong)read_msr;
			other->world.registers.cx = msrs[i];
			svm_run(other);
			check_exit(other, VMEXIT_VMMCALL, "%x.other-vmcb.%u", msrs[i], n);

			clear_bits(guest, msrs[i], READ);
			svm_run(guest);
			check_exit(guest, VMEXIT_VMMCALL, "%x.cleared.%u", msrs[i], n);
			guest->vmcb->save.rip = (ulong)read_msr;
		}
	}
}
SVM_SUBTEST("msrpm.change", test_change);
