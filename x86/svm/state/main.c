// SPDX-License-Identifier: BSD-2-Clause
/*
 * What VMRUN loads from the VMCB, what #VMEXIT saves there, and what neither touches: APM
 * volume 2, 15.5.1, 15.5.2 (VMLOAD and VMSAVE) and 15.6, field by field. L2 reads each
 * register that it was given, gives it another value, and L1 finds that in the VMCB.
 *
 * A hypervisor that runs nested guests copies each field by hand, twice: from L1's VMCB
 * into its own, and back. One that is forgotten leaves L2 or L1 with the other's value; one
 * that is copied although the processor would keep it (a clean bit, VMLOAD's fields, G_PAT
 * without nested paging) is as wrong. KVM has had both kinds.
 *
 *	main.c		general registers, and those that VMRUN does not switch
 *	registers.c	control and debug registers, EFER, RFLAGS, CPL, PAT
 *	segments.c	segment and descriptor table registers
 *	vmload.c	what VMLOAD and VMSAVE move
 *	modes.c		L2 in each mode, changes of mode by L2 and by L1
 *	clean.c		clean bits
 *	time.c		TSC offset and ratio, DBGCTL and last branch records
 */
#include "control.h"
#include "state.h"

TEST_SUMMARY("VMRUN loads and #VMEXIT saves each field of the VMCB, and nothing else");
TEST_MANUAL("APM volume 2, 15.5.1 \"Basic Operation\", 15.6 \"#VMEXIT\"");
TEST_MANUAL("APM volume 2, 15.5.2 \"VMSAVE and VMLOAD Instructions\"");
TEST_MANUAL(
    "APM volume 2, 15.15 \"VMCB State Caching\", 15.23 \"Last Branch Record Virtualization\"");
TEST_MANUAL("APM volume 2, 15.25 \"Nested Paging\": G_PAT; 15.30.5 \"TSC Ratio MSR\"");
TEST_GUARDS("Linux before 4.20: a TSC offset of L1's, set while L2 ran, was taken for L2's");
TEST_GUARDS("Linux 8a4821412cf2: the last branch records of L1 and L2 got mixed up");
TEST_NEEDS("SVM");

static struct vmcb new_vmcb;
static void (*current)(void);

static void call_current(void *unused)
{
	(void)unused;
	current();
}

struct svm_guest *calling_guest(void (*function)(void))
{
	static struct svm_guest *guest;

	if (!guest) {
		guest = svm_guest_call(call_current, NULL);
		new_vmcb = *guest->vmcb;
	}
	*guest->vmcb = new_vmcb;
	guest->options = 0;
	current = function;
	return guest;
}

void call_again(struct svm_guest *guest)
{
	guest->vmcb->save.rip = new_vmcb.save.rip;
	guest->vmcb->save.rsp = new_vmcb.save.rsp;
	guest->vmcb->save.rflags = new_vmcb.save.rflags;
#ifdef __x86_64__
	guest->world.registers.di = 0;
#endif
}

bool called(struct svm_guest *guest, const char *id)
{
	if (svm_run(guest) == VMEXIT_VMMCALL && !fault_raised(svm_fault(guest)))
		return true;
	return check_exit(guest, VMEXIT_VMMCALL, "%s.exit", id);
}

/* Every register has a value of its own, in all of its bits; L2 adds 1 to each. */
#ifdef __x86_64__
#define PATTERN(n) (0x8123456789abcd00ul + (n)*0x0101010101010101ul)
L2_CODE(add_one, "inc %rax\n inc %rbx\n inc %rcx\n inc %rdx\n inc %rsi\n inc %rdi\n inc %rbp\n"
		 "inc %r8\n inc %r9\n inc %r10\n inc %r11\n inc %r12\n inc %r13\n inc %r14\n"
		 "inc %r15\n inc %rsp\n"
		 ".globl add_one_end\n add_one_end: vmmcall\n ud2");
#else
#define PATTERN(n) (0x89abcd00ul + (n)*0x01010101ul)
L2_CODE(add_one, "inc %eax\n inc %ebx\n inc %ecx\n inc %edx\n inc %esi\n inc %edi\n inc %ebp\n"
		 "inc %esp\n"
		 ".globl add_one_end\n add_one_end: vmmcall\n ud2");
#endif
extern const u8 add_one_end[];

static void test_general(void)
{
	static const char *const names[] = {
		"bx", "cx", "dx",  "si",  "di",	 "bp",
#ifdef __x86_64__
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
#endif
	};
	struct svm_guest *guest = svm_guest(L2_NATIVE, add_one);
	ulong *registers = (ulong *)&guest->world.registers;
	struct vmcb_save *save = &guest->vmcb->save;

	_Static_assert(sizeof(guest->world.registers) == ARRAY_SIZE(names) * sizeof(ulong),
		       "struct svm_registers");
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		registers[i] = PATTERN(i);
	save->rax = PATTERN(20);
	save->rsp = PATTERN(21); /* not used as a stack */
	svm_run(guest);
	check_exit(guest, VMEXIT_VMMCALL, "exit");
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		check_equal(registers[i], PATTERN(i) + 1, "%s", names[i]);
	check_equal(save->rax, PATTERN(20) + 1, "ax");
	check_equal(save->rsp, PATTERN(21) + 1, "sp");
	check_equal(save->rip, (ulong)add_one_end, "ip");
}

SVM_SUBTEST("general-registers", test_general);

static ulong seen[4];

static void change_dr0_to_dr3(void)
{
	seen[0] = read_dr0();
	seen[1] = read_dr1();
	seen[2] = read_dr2();
	seen[3] = read_dr3();
	write_dr0(0x5000);
	write_dr1(0x5001);
	write_dr2(0x5002);
	write_dr3(0x5003);
}

/* The addresses of breakpoints are in no VMCB: L2 has L1's, and L1 has L2's. 15.5.1 */
static void test_breakpoints(void)
{
	struct svm_guest *guest = calling_guest(change_dr0_to_dr3);

	write_dr0(0x4000);
	write_dr1(0x4001);
	write_dr2(0x4002);
	write_dr3(0x4003);
	if (called(guest, "dr")) {
		for (unsigned int i = 0; i < 4; i++)
			check_equal(seen[i], 0x4000 + i, "l2.dr%u", i);
		check_equal(read_dr0(), 0x5000, "l1.dr0");
		check_equal(read_dr1(), 0x5001, "l1.dr1");
		check_equal(read_dr2(), 0x5002, "l1.dr2");
		check_equal(read_dr3(), 0x5003, "l1.dr3");
	}
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
}

SVM_SUBTEST("breakpoint-addresses", test_breakpoints);

static u32 vector_seen[4] __aligned(16), vector_set[4] __aligned(16);

static void change_xmm7(void)
{
	asm volatile("movaps %%xmm7, %0" : "=m"(vector_seen));
	asm volatile("movaps %0, %%xmm7" : : "m"(vector_set));
}

/* Nor are vector registers. */
static void test_vectors(void)
{
	static const u32 before[4] __aligned(16) = { 1, 2, 3, 4 };
	static const u32 after[4] __aligned(16) = { 5, 6, 7, 8 };
	struct svm_guest *guest = calling_guest(change_xmm7);
	ulong cr4 = read_cr4();
	u32 left[4] __aligned(16);

	write_cr4(cr4 | CR4_OSFXSR);
	guest->vmcb->save.cr4 |= CR4_OSFXSR;
	memcpy(vector_set, after, sizeof(vector_set));
	asm volatile("movaps %0, %%xmm7" : : "m"(before));
	if (called(guest, "xmm7")) {
		asm volatile("movaps %%xmm7, %0" : "=m"(left));
		check(!memcmp(vector_seen, before, sizeof(before)), "l2");
		check(!memcmp(left, after, sizeof(after)), "l1");
	}
	write_cr4(cr4);
}

SVM_SUBTEST("vector-registers", test_vectors);
