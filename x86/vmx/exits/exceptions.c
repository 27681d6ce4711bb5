// SPDX-License-Identifier: BSD-2-Clause
/*
 * The exception bitmap: SDM volume 3C, "Exception Bitmap". An exit has the exception as
 * interruption information, with the error code where one is defined, and RIP and RF as the
 * exception's frame would have them; a debug exception has as its qualification what DR6 would have
 * got.
 *
 * Without the bit L2's handler gets it, here that of this image, which puts down what it saw.
 */
#include "exits.h"
#include "fpu.h"
#include "string.h"
#include "trap.h"

enum exception_flags {
	TRAP = 1,      /* the exit is behind the instruction */
	USER = 2,      /* it begins in ring 3 */
	UNHANDLED = 4, /* without the bit nobody would handle it */
	ABORT = 16,    /* no fault, and no trap: RF may be either */
	SOFTWARE = 8,  /* INT3, INTO and ICEBP have a length and another type */
};

struct exception_row {
	const u8 *code, *at, *next;
	u32 fault; /* FAULT_VALUE() */
	enum interruption_type type;
	u32 flags;
	u64 qualification; /* of #DB */
	u64 feature;
	void (*setup)(struct vmx_guest *guest);
};

static struct vmx_guest *prepare(const struct exception_row *row)
{
	struct vmx_guest *guest = exits_guest(L2_NATIVE, row->code);

	guest->world.registers.ax = (ulong)operand();
	guest->world.registers.cx = 0;
	if (row->flags & USER)
		vmx_enter_ring3(guest);
	vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << (row->fault >> FAULT_VECTOR_SHIFT & 0xff));
	if (row->setup)
		row->setup(guest);
	return guest;
}

static void check_exit_information(const struct exception_row *row)
{
	u32 information = vmcs_read(VMCS_VM_EXIT_INTERRUPTION_INFORMATION);
	bool moves_on = row->flags & (TRAP | SOFTWARE);

	check_equal(information & INTERRUPTION_VALID, INTERRUPTION_VALID, "on.valid");
	check_equal(information >> 8 & 7, row->type, "on.type");
	check_equal(information & 0x7ffff000, 0, "on.reserved");
	check_equal(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & INTERRUPTION_VALID, 0,
		    "on.no-idt-vectoring");
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), row->qualification, "on.qualification");
	check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)(row->flags & TRAP ? row->next : row->at),
		    "on.rip");
	/* "Saving RIP, RSP, RFLAGS, and SSP": as in the frame. */
	if (!(row->flags & ABORT))
		check_equal(vmcs_read(VMCS_GUEST_RFLAGS) & EFLAGS_RF, moves_on ? 0 : EFLAGS_RF,
			    "on.rf");
	if (row->flags & SOFTWARE)
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_LENGTH), row->next - row->at,
			    "on.length");
}

static void exception_run(const void *argument)
{
	const struct exception_row *row = argument;
	u32 bit = 1u << (row->fault >> FAULT_VECTOR_SHIFT & 0xff);
	struct vmx_guest *guest;

	if (!vmx_ready())
		return;
	if (row->feature && !cpu_has(row->feature)) {
		subtest_skip("the CPU lacks what is tested (CPUID)");
		return;
	}
	guest = prepare(row);
	vmx_run(guest);
	if (check_exception(guest, ((struct fault){ row->fault }), "on"))
		check_exit_information(row);
	if (!(row->flags & UNHANDLED)) {
		guest = prepare(row);
		vmcs_write(VMCS_EXCEPTION_BITMAP, ~bit);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "off");
		check_fault(((struct fault){ (u32)guest->world.registers.ax }),
			    ((struct fault){ row->fault }), "off.fault");
	}
	vmx_check_invariants();
}

#define EXCEPTION(name, before, instruction, ...)                                                  \
	EXIT_(CONCAT(exception_, __LINE__), struct exception_row, exception_run,                   \
	      "exception." name, before, instruction, __VA_ARGS__)
#define HARDWARE(name, before, instruction, ...)                                                   \
	EXCEPTION(name, before, instruction, .type = TYPE_HARDWARE_EXCEPTION, .fault = __VA_ARGS__)

HARDWARE("de", "", "div %cl", FAULT_VALUE(VECTOR_DE));

static void single_step(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_TF);
}

HARDWARE("db.single-step", "", "nop", FAULT_VALUE(VECTOR_DB), .setup = single_step, .flags = TRAP,
	 .qualification = DR6_BS);
EXCEPTION("db.icebp", "", ".byte 0xf1", .fault = FAULT_VALUE(VECTOR_DB),
	  .type = TYPE_PRIVILEGED_SOFTWARE_EXCEPTION, .flags = SOFTWARE);
EXCEPTION("bp", "", "int3", .fault = FAULT_VALUE(VECTOR_BP), .type = TYPE_SOFTWARE_EXCEPTION,
	  .flags = SOFTWARE);
#ifndef __x86_64__
static void set_overflow(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_OF);
}

EXCEPTION("of", "", "into", .fault = FAULT_VALUE(VECTOR_OF), .type = TYPE_SOFTWARE_EXCEPTION,
	  .setup = set_overflow, .flags = SOFTWARE);

/* Bounds 0 and 0 for an index that is another. */
static void bounds(struct vmx_guest *guest)
{
	memset(operand(), 0, 8);
	guest->world.registers.cx = 5;
}

HARDWARE("br", "", "bound %ecx, (%eax)", FAULT_VALUE(VECTOR_BR), .setup = bounds);
#endif
HARDWARE("ud", "", "ud2", FAULT_VALUE(VECTOR_UD));

static void task_switched(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) | CR0_TS);
}

HARDWARE("nm", "", "fnop", FAULT_VALUE(VECTOR_NM), .setup = task_switched);

/* A #GP whose delivery ends in another, beyond the IDT; L1 wants neither. */
static void no_idt(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
	guest->world.registers.ax = 0xfff8;
}

HARDWARE("df", "", "mov %eax, %es", FAULT_VALUE_EC(VECTOR_DF, 0), .setup = no_idt,
	 .flags = UNHANDLED | ABORT);

static void selector(struct vmx_guest *guest)
{
	guest->world.registers.ax = 0xfff8;
}

static void absent_segment(struct vmx_guest *guest)
{
	gdt_set(TEST_SELECTOR(0),
		SEGMENT_DESCRIPTOR(0, 0xfffff, DESC_DATA_WRITABLE, DESC_GRANULARITY | DESC_BIG));
	guest->world.registers.ax = TEST_SELECTOR(0);
}

HARDWARE("np", "", "mov %eax, %es", FAULT_VALUE_EC(VECTOR_NP, TEST_SELECTOR(0)),
	 .setup = absent_segment);
HARDWARE("ss", "", "mov %eax, %ss", FAULT_VALUE_EC(VECTOR_SS, TEST_SELECTOR(0)),
	 .setup = absent_segment);
HARDWARE("gp.selector", "", "mov %eax, %es", FAULT_VALUE_EC(VECTOR_GP, 0xfff8), .setup = selector);
HARDWARE("gp.0", "", "cli", FAULT_VALUE_EC(VECTOR_GP, 0), .flags = USER | UNHANDLED);

/* 1 / 0 with the exception unmasked: FWAIT raises it. */
static void unmask_x87(struct vmx_guest *guest)
{
	*(u16 *)operand() = 0x37b;
}

HARDWARE("mf", "fninit\n fldcw (" R(ax) ")\n fld1\n fldz\n fdivrp", "fwait", FAULT_VALUE(VECTOR_MF),
	 .setup = unmask_x87);

static void check_alignment(struct vmx_guest *guest)
{
	vmcs_write(VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) | CR0_AM);
	vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | EFLAGS_AC);
}

HARDWARE("ac", "", "movl 1(" R(ax) "), %ecx", FAULT_VALUE_EC(VECTOR_AC, 0),
	 .setup = check_alignment, .flags = USER | UNHANDLED);

static void unmask_sse(struct vmx_guest *guest)
{
	*(u32 *)operand() = 0x1d80;
	*(u32 *)(operand() + 16) = 0x3f800000; /* 1.0 */
	vmcs_write(VMCS_GUEST_CR4, vmcs_read(VMCS_GUEST_CR4) | CR4_OSFXSR | CR4_OSXMMEXCPT);
}

HARDWARE("xm", "ldmxcsr (" R(ax) ")\n movss 16(" R(ax) "), %xmm0\n xorps %xmm1, %xmm1",
	 "divss %xmm1, %xmm0", FAULT_VALUE(VECTOR_XM), .setup = unmask_sse, .feature = FEATURE_SSE);

/* A software interrupt with an exception's vector is none: the bitmap does not see it. */
EXITS_TEXT(soft_of, "", "int $4");
EXITS_TEXT(soft_bp, "", ".byte 0xcd, 3");

static void test_software_interrupt(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u8 vector;
	} rows[] = { { "int-3", soft_bp, VECTOR_BP }, { "int-4", soft_of, VECTOR_OF } };

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmx_guest *guest = exits_guest(L2_NATIVE, rows[i].code);

		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "%s", rows[i].name);
		check_equal(guest->world.registers.ax, FAULT_VALUE(rows[i].vector), "%s.handler",
			    rows[i].name);
	}
}
VMX_SUBTEST("exception.software-interrupt", test_software_interrupt);

/* The host sees DR6 as it was before: the qualification has what L2's would have got. */
EXITS_TEXT(stepped, "", "nop");
EXITS_TEXT(stored, "", "movl %ecx, (" R(ax) ")");
EXITS_TEXT(from_dr0, "", "mov %dr0, " R(cx));

static const struct debug_row {
	const char *name;
	const u8 *code, *end;
	ulong dr7, flags;
	u64 qualification;
} debug_rows[] = {
	{ "instruction", stepped, stepped_at, 0x403, 0, DR6_B0 },
	{ "data", stored, stored_next, 0x400 | 3 << 2 | 0xdul << 20, 0, DR6_B1 },
	{ "data-and-step", stored, stored_next, 0x400 | 3 << 2 | 0xdul << 20, EFLAGS_TF,
	  DR6_B1 | DR6_BS },
	{ "general-detect", from_dr0, from_dr0_at, 0x400 | DR7_GD, 0, DR6_BD },
};

#define DR6_NEITHER 0xffff0ff0u

static void test_debug(void)
{
	if (!vmx_needs(VMX_ENTRY_LOAD_DEBUG_CONTROLS))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(debug_rows); i++) {
		const struct debug_row *row = &debug_rows[i];
		struct vmx_guest *guest = exits_guest(L2_NATIVE, row->code);

		guest->world.registers.ax = (ulong)operand();
		/* DR7 is the guest's only then. */
		vmx_set(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
		vmcs_write(VMCS_GUEST_DR7, row->dr7);
		vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | row->flags);
		write_dr0((ulong)stepped_at);
		write_dr1((ulong)operand());
		write_dr6(DR6_NEITHER);
		vmx_run(guest);
		check_exception(guest, FAULT_DB, "%s", row->name);
		check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), row->qualification,
			    "%s.qualification", row->name);
		check_equal(vmcs_read(VMCS_GUEST_RIP), (ulong)row->end, "%s.rip", row->name);
		check_equal(read_dr6(), DR6_NEITHER, "%s.dr6", row->name);
		write_dr0(0);
		write_dr1(0);
	}
}
VMX_SUBTEST("exception.debug", test_debug);
