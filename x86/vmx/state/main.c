// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a VM entry loads from the VMCS, what a VM exit saves there, and what neither touches, field
 * by field: L2 reads each register that it was given, gives it another value, and L1 finds that
 * in the VMCS. What is not in the VMCS is L1's in L2, and L2's in L1.
 *
 * A hypervisor that runs nested guests copies each field by hand, twice: from L1's VMCS
 * into the one that it uses, and back. One that is forgotten leaves L2 or L1 with the other's
 * value; one that is copied although its control is off is as wrong. KVM has had both kinds.
 *
 *	main.c		general registers, and those that neither entry nor exit switches
 *	registers.c	control and debug registers, descriptor tables, SYSENTER, RFLAGS
 *	msrs.c		MSRs that controls load and save
 *	segments.c	segment registers, usable and not
 *	modes.c		L2 in each mode, changes of mode by L2 and by L1, the host's address space
 *	host.c		what an exit loads of the host-state area, of other values than L1 has
 *	fpu.c		registers of FPU, SSE, AVX, which neither entry nor exit switches
 *	shadow.c	VMREAD and VMWRITE in L2, and their bitmaps
 *
 * SDM volume 3C, "Loading Guest State", "Saving Guest State", "Loading Host State".
 */
#include "control.h"
#include "fpu.h"
#include "msr.h"
#include "state.h"

TEST_SUMMARY("VM entries load and VM exits save each field of the VMCS, and nothing else");
TEST_MANUAL("SDM volume 3C, \"Loading Guest State\", \"Saving Guest State\"");
TEST_MANUAL("SDM volume 3C, \"Loading Host State\"");
TEST_MANUAL("SDM volume 3C, \"VMCS Shadowing\"; volume 3D, \"VMREAD\", \"VMWRITE\"");
TEST_GUARDS("KVM took the guest's IA32_PAT and debug controls for loaded whatever the controls "
	    "said, or saved them into L1's VMCS without being asked");
TEST_NEEDS("VMX");

static ulong start, stack;
static void (*current)(void);

static void call_current(void *unused)
{
	(void)unused;
	current();
}

struct vmx_guest *calling_guest(void (*function)(void))
{
	static struct vmx_guest *guest;

	if (!guest) {
		guest = vmx_guest_call(call_current, NULL);
		start = vmcs_read(VMCS_GUEST_RIP);
		stack = vmcs_read(VMCS_GUEST_RSP);
	} else {
		vmx_guest_again(guest, L2_NATIVE, (const void *)start);
		vmcs_write(VMCS_GUEST_RSP, stack);
	}
	vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
	current = function;
	return guest;
}

void call_again(struct vmx_guest *guest)
{
	vmx_current(guest);
	vmcs_write(VMCS_GUEST_RIP, start);
	vmcs_write(VMCS_GUEST_RSP, stack);
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED);
}

bool run_call(struct vmx_guest *guest, const char *id)
{
	vmx_run(guest);
	return check_exit(guest, EXIT_VMCALL, "%s", id);
}

/* General registers but RSP are software's: all arrive as they are, in both directions. */
#ifdef __x86_64__
L2_CODE(code_not, "not %rax\n not %rbx\n not %rcx\n not %rdx\n not %rsi\n not %rdi\n not %rbp\n"
		  "not %r8\n not %r9\n not %r10\n not %r11\n not %r12\n not %r13\n not %r14\n"
		  "not %r15\n vmcall");
#else
L2_CODE(code_not, "not %eax\n not %ebx\n not %ecx\n not %edx\n not %esi\n not %edi\n not %ebp\n"
		  "vmcall");
#endif

static void test_general(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, code_not);
	ulong *registers = (ulong *)&guest->world.registers;
	const unsigned int count = sizeof(guest->world.registers) / sizeof(ulong);
	static const char *const names[] = { "ax", "bx",  "cx",	 "dx",	"si",  "di",  "bp", "r8",
					     "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

	for (unsigned int i = 0; i < count; i++)
		registers[i] = (ulong)0x8123456789abcdefull * (2 * i + 1);
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	for (unsigned int i = 0; i < count; i++)
		check_equal(registers[i], ~((ulong)0x8123456789abcdefull * (2 * i + 1)), "%s",
			    names[i]);
}
VMX_SUBTEST("general_registers", test_general);

/* Registers that have no field: L2's read, write, and the values that L1 and L2 give them. */
#define MSR_ACCESS(name, number)                                                                   \
	static u64 read_##name(void)                                                               \
	{                                                                                          \
		return rdmsr(number);                                                              \
	}                                                                                          \
	static void write_##name(u64 value)                                                        \
	{                                                                                          \
		wrmsr(number, value);                                                              \
	}
#define REGISTER_ACCESS(name)                                                                      \
	static u64 get_##name(void)                                                                \
	{                                                                                          \
		return read_##name();                                                              \
	}                                                                                          \
	static void set_##name(u64 value)                                                          \
	{                                                                                          \
		write_##name(value);                                                               \
	}
REGISTER_ACCESS(cr2)
REGISTER_ACCESS(dr0)
REGISTER_ACCESS(dr1)
REGISTER_ACCESS(dr2)
REGISTER_ACCESS(dr3)
REGISTER_ACCESS(dr6)
#ifdef __x86_64__
REGISTER_ACCESS(cr8)
MSR_ACCESS(star, MSR_STAR)
MSR_ACCESS(lstar, MSR_LSTAR)
MSR_ACCESS(cstar, MSR_CSTAR)
MSR_ACCESS(syscall_mask, MSR_SYSCALL_MASK)
MSR_ACCESS(kernel_gs_base, MSR_KERNEL_GS_BASE)
#endif
MSR_ACCESS(tsc_aux, MSR_TSC_AUX)

static u64 get_mxcsr(void)
{
	u32 value;

	asm volatile("stmxcsr %0" : "=m"(value));
	return value;
}

static void set_mxcsr(u64 value)
{
	u32 low = value;

	asm volatile("ldmxcsr %0" : : "m"(low));
}

static u64 get_xmm(void)
{
	u32 value;

	asm volatile("movd %%xmm0, %0" : "=r"(value));
	return value;
}

static void set_xmm(u64 value)
{
	asm volatile("movd %0, %%xmm0" : : "r"((u32)value));
}

static u64 get_fcw(void)
{
	u16 value;

	asm volatile("fnstcw %0" : "=m"(value));
	return value;
}

static void set_fcw(u64 value)
{
	u16 low = value;

	asm volatile("fldcw %0" : : "m"(low));
}

static const struct shared {
	const char *name;
	u64 (*get)(void);
	void (*set)(u64 value);
	u64 of_l1, of_l2;
	u64 feature;
} shared[] = {
	{ "cr2", get_cr2, set_cr2, 0x12345678, 0x9abcdef0, 0 },
	{ "dr0", get_dr0, set_dr0, 0x1000, 0x2000, 0 },
	{ "dr1", get_dr1, set_dr1, 0x1001, 0x2001, 0 },
	{ "dr2", get_dr2, set_dr2, 0x1002, 0x2002, 0 },
	{ "dr3", get_dr3, set_dr3, 0x1003, 0x2003, 0 },
	{ "dr6", get_dr6, set_dr6, 0xffff0ff1, 0xffff0ff2, 0 },
#ifdef __x86_64__
	{ "cr8", get_cr8, set_cr8, 5, 9, 0 },
	{ "star", read_star, write_star, 0x0023001000000001, 0x0033001800000002, 0 },
	{ "lstar", read_lstar, write_lstar, 0xffff800000001000, 0x7fff00002000, 0 },
	{ "cstar", read_cstar, write_cstar, 0xffff800000003000, 0x7fff00004000, 0 },
	{ "syscall_mask", read_syscall_mask, write_syscall_mask, 0x200, 0x47700, 0 },
	{ "kernel_gs_base", read_kernel_gs_base, write_kernel_gs_base, 0xffff800000005000,
	  0x7fff00006000, 0 },
#endif
	{ "tsc_aux", read_tsc_aux, write_tsc_aux, 0x1234, 0x80005678, FEATURE_RDTSCP },
	{ "mxcsr", get_mxcsr, set_mxcsr, 0x1f80, 0x3f80, 0 },
	{ "xmm0", get_xmm, set_xmm, 0x5eadbeef, 0x3717e000, 0 },
	{ "fcw", get_fcw, set_fcw, 0x37f, 0x27f, 0 },
};

static const struct shared *row;
static u64 seen;

static void look_and_change(void)
{
	seen = row->get();
	row->set(row->of_l2);
}

static void test_shared(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(shared); i++) {
		struct vmx_guest *guest = calling_guest(look_and_change);
		u64 before, after;

		row = &shared[i];
		if (row->feature && !cpu_has(row->feature)) {
			check_skip("the CPU does not have it", "%s", row->name);
			continue;
		}
		before = row->get();
		row->set(row->of_l1);
		vmx_run(guest);
		after = row->get();
		row->set(before);
		check_exit(guest, EXIT_VMCALL, "%s.exit", row->name);
		check_equal(seen, row->of_l1, "%s.in-l2", row->name);
		check_equal(after, row->of_l2, "%s.in-l1", row->name);
	}
}
VMX_SUBTEST("not_switched", test_shared);

/* XCR0 is L1's in L2; XSETBV always exits, so that it stays that. "Instructions That Cause VM Exits
 * Unconditionally"
 */
static void look_at_xcr0(void)
{
	seen = xgetbv(0);
	xsetbv(0, XCR0_X87);
}

static void test_xcr0(void)
{
	struct vmx_guest *guest;
	u64 before;

	if (!cpu_has(FEATURE_XSAVE)) {
		subtest_skip("the CPU has no XSAVE");
		return;
	}
	write_cr4(read_cr4() | CR4_OSXSAVE);
	before = xgetbv(0);
	xsetbv(0, XCR0_X87 | XCR0_SSE);
	guest = calling_guest(look_at_xcr0);
	vmx_run(guest);
	check_exit(guest, EXIT_XSETBV, "exit");
	check_equal(seen, XCR0_X87 | XCR0_SSE, "in-l2");
	check_equal(xgetbv(0), XCR0_X87 | XCR0_SSE, "in-l1");
	check_equal((u32)guest->world.registers.ax, XCR0_X87, "ax");
	xsetbv(0, before);
}
VMX_SUBTEST("xcr0", test_xcr0);
