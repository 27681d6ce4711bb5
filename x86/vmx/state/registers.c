// SPDX-License-Identifier: BSD-2-Clause
/*
 * Control registers, DR7, descriptor table registers, SYSENTER's MSRs, RSP, RIP and RFLAGS: L2
 * finds what the VMCS says, and what it changes is in the VMCS at the exit. Bits of CR0 that an
 * entry does not load; DR7 under its two controls; blocking by STI and MOV SS as saved.
 *
 * SDM volume 3C, "Loading Guest Control Registers, Debug Registers, and MSRs", "Loading Guest
 * RIP, RSP, and RFLAGS", "Saving Guest State".
 */
#include "control.h"
#include "descriptor.h"
#include "msr.h"
#include "state.h"

#define GETTER(name, expression)                                                                   \
	static u64 get_##name(void)                                                                \
	{                                                                                          \
		return expression;                                                                 \
	}
#define SETTER(name, statement)                                                                    \
	static void set_##name(u64 value)                                                          \
	{                                                                                          \
		statement;                                                                         \
	}

/* Loads one half of a descriptor table register, and keeps the other. */
static void load_table(bool idt, const u64 *base, const u16 *limit)
{
	struct descriptor_pointer pointer = idt ? sidt() : sgdt();

	if (base)
		pointer.base = *base;
	if (limit)
		pointer.limit = *limit;
	if (idt)
		lidt(&pointer);
	else
		lgdt(&pointer);
}

GETTER(cr0, read_cr0())
SETTER(cr0, write_cr0(value))
GETTER(cr3, read_cr3())
SETTER(cr3, write_cr3(value))
GETTER(cr4, read_cr4())
SETTER(cr4, write_cr4(value))
GETTER(gdtr_base, sgdt().base)
SETTER(gdtr_base, load_table(false, &value, NULL))
GETTER(gdtr_limit, sgdt().limit)
SETTER(gdtr_limit, u16 limit = value; load_table(false, NULL, &limit))
GETTER(idtr_base, sidt().base)
SETTER(idtr_base, load_table(true, &value, NULL))
GETTER(idtr_limit, sidt().limit)
SETTER(idtr_limit, u16 limit = value; load_table(true, NULL, &limit))
GETTER(sysenter_cs, rdmsr(MSR_IA32_SYSENTER_CS))
SETTER(sysenter_cs, wrmsr(MSR_IA32_SYSENTER_CS, value))
GETTER(sysenter_esp, rdmsr(MSR_IA32_SYSENTER_ESP))
SETTER(sysenter_esp, wrmsr(MSR_IA32_SYSENTER_ESP, value))
GETTER(sysenter_eip, rdmsr(MSR_IA32_SYSENTER_EIP))
SETTER(sysenter_eip, wrmsr(MSR_IA32_SYSENTER_EIP, value))
#ifdef __x86_64__
GETTER(fs_base, rdmsr(MSR_FS_BASE))
SETTER(fs_base, wrmsr(MSR_FS_BASE, value))
GETTER(gs_base, rdmsr(MSR_GS_BASE))
SETTER(gs_base, wrmsr(MSR_GS_BASE, value))
#endif

/* With `toggle` the values are bits to change in what the field has; else the values themselves. */
static const struct switched {
	const char *name;
	u32 field;
	u64 (*get)(void);
	void (*set)(u64 value);
	bool toggle;
	u64 loaded, saved;
} switched[] = {
	{ "cr0.ts", VMCS_GUEST_CR0, get_cr0, set_cr0, true, CR0_TS, 0 },
	{ "cr0.mp", VMCS_GUEST_CR0, get_cr0, set_cr0, true, CR0_MP, CR0_TS },
	{ "cr0.am", VMCS_GUEST_CR0, get_cr0, set_cr0, true, CR0_AM, CR0_WP },
	{ "cr0.wp", VMCS_GUEST_CR0, get_cr0, set_cr0, true, CR0_WP, CR0_AM },
	{ "cr3.pwt", VMCS_GUEST_CR3, get_cr3, set_cr3, true, 1 << 3, 1 << 4 },
	{ "cr3.pcd", VMCS_GUEST_CR3, get_cr3, set_cr3, true, 1 << 4, 1 << 3 },
	{ "cr4.tsd", VMCS_GUEST_CR4, get_cr4, set_cr4, true, CR4_TSD, CR4_DE },
	{ "cr4.de", VMCS_GUEST_CR4, get_cr4, set_cr4, true, CR4_DE, CR4_TSD },
	{ "cr4.mce", VMCS_GUEST_CR4, get_cr4, set_cr4, true, CR4_MCE, CR4_PGE },
	{ "gdtr.base", VMCS_GUEST_GDTR_BASE, get_gdtr_base, set_gdtr_base, false, 0x12345678,
	  0x7bcdef00 },
	{ "gdtr.limit", VMCS_GUEST_GDTR_LIMIT, get_gdtr_limit, set_gdtr_limit, false, 0x1237,
	  0xffff },
	{ "idtr.base", VMCS_GUEST_IDTR_BASE, get_idtr_base, set_idtr_base, false, 0x23456780,
	  0x6cdef000 },
	{ "idtr.limit", VMCS_GUEST_IDTR_LIMIT, get_idtr_limit, set_idtr_limit, false, 0, 0x0fff },
	{ "sysenter_cs", VMCS_GUEST_IA32_SYSENTER_CS, get_sysenter_cs, set_sysenter_cs, false,
	  0x1234, 0x5678 },
	{ "sysenter_esp", VMCS_GUEST_IA32_SYSENTER_ESP, get_sysenter_esp, set_sysenter_esp, false,
	  0x12345678, 0x7bcdef01 },
	{ "sysenter_eip", VMCS_GUEST_IA32_SYSENTER_EIP, get_sysenter_eip, set_sysenter_eip, false,
	  0x23456789, 0x6cdef012 },
#ifdef __x86_64__
	{ "gdtr.base-high", VMCS_GUEST_GDTR_BASE, get_gdtr_base, set_gdtr_base, false,
	  0xffff800012345678, 0x00007bcdef001234 },
	{ "idtr.base-high", VMCS_GUEST_IDTR_BASE, get_idtr_base, set_idtr_base, false,
	  0xffff800012345678, 0x00007bcdef001234 },
	{ "sysenter_esp-high", VMCS_GUEST_IA32_SYSENTER_ESP, get_sysenter_esp, set_sysenter_esp,
	  false, 0xffff800012345678, 0x00007bcdef001234 },
	{ "sysenter_eip-high", VMCS_GUEST_IA32_SYSENTER_EIP, get_sysenter_eip, set_sysenter_eip,
	  false, 0xffff800012345678, 0x00007bcdef001234 },
	{ "fs.base", VMCS_GUEST_FS_BASE, get_fs_base, set_fs_base, false, 0xffff800012345678,
	  0x00007bcdef001234 },
	{ "gs.base", VMCS_GUEST_GS_BASE, get_gs_base, set_gs_base, false, 0xffff800012345678,
	  0x00007bcdef001234 },
#endif
};

static const struct switched *row;
static u64 seen, given;

static void look_and_change(void)
{
	seen = row->get();
	row->set(given);
}

static void test_switched(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(switched); i++) {
		struct vmx_guest *guest = calling_guest(look_and_change);
		u64 original, loaded;

		row = &switched[i];
		original = vmcs_read(row->field);
		loaded = row->toggle ? original ^ row->loaded : row->loaded;
		given = row->toggle ? original ^ row->saved : row->saved;
		vmcs_write(row->field, loaded);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "%s.exit", row->name);
		check_equal(seen, loaded, "%s.loaded", row->name);
		check_equal(vmcs_read(row->field), given, "%s.saved", row->name);
	}
}
VMX_SUBTEST("registers", test_switched);

/* The limit that was loaded is in force: a descriptor beyond it is not there. */
static void cut_gdt(struct vmx_guest *guest)
{
	(void)guest;
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, KERNEL_DS - 1);
}

VMX_TEST("gdtr_limit", "mov $" STRINGIFY(KERNEL_DS) ", %eax\n mov %eax, %es", .setup = cut_gdt,
	 .exits = { EXIT_EXCEPTION(FAULT_VALUE_EC(VECTOR_GP, KERNEL_DS)) }, .no_vmcall = true);

/* CD, NW and ET are not loaded from the field: L2 has them as L1. An exit saves what they are. */
static void look_at_cr0(void)
{
	seen = read_cr0();
}

static void test_cr0_not_loaded(void)
{
	static const u64 bits[] = { CR0_CD, CR0_CD | CR0_NW };

	for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++) {
		struct vmx_guest *guest = calling_guest(look_at_cr0);
		u64 original = vmcs_read(VMCS_GUEST_CR0);

		prefix_push("bits-%#llx", bits[i]);
		vmcs_write(VMCS_GUEST_CR0, original | bits[i]);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "exit");
		check_equal(seen, original, "loaded");
		check_equal(vmcs_read(VMCS_GUEST_CR0), original, "saved");
		prefix_pop();
	}
}
VMX_SUBTEST("cr0_cache_bits", test_cr0_not_loaded);

/* RSP and RIP are where L2 stands; each flag is loaded, and saved as L2 left it. */
#ifdef __x86_64__
L2_CODE(code_flags, "pushf\n pop %rax\n push %rbx\n popf\n lea 8(%rsp), %rsp\n vmcall");
#else
L2_CODE(code_flags, "pushf\n pop %eax\n push %ebx\n popf\n lea 8(%esp), %esp\n vmcall");
#endif

static void test_flags(void)
{
	static const u32 flags[] = { EFLAGS_CF, EFLAGS_PF, EFLAGS_AF, EFLAGS_ZF, EFLAGS_SF,
				     EFLAGS_IF, EFLAGS_DF, EFLAGS_OF, 0x1000,	 0x2000,
				     EFLAGS_NT, EFLAGS_AC, EFLAGS_ID };
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, code_flags);
	ulong stack = vmcs_read(VMCS_GUEST_RSP) - 64;

	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		/* The neighbour in the list is what L2 sets. */
		u32 other = flags[(i + 1) % ARRAY_SIZE(flags)];

		prefix_push("bit-%u", __builtin_ctz(flags[i]));
		vmx_guest_again(guest, L2_NATIVE, code_flags);
		vmcs_write(VMCS_GUEST_RSP, stack);
		vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | flags[i]);
		guest->world.registers.bx = EFLAGS_FIXED | other;
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "exit");
		check_equal(guest->world.registers.ax, EFLAGS_FIXED | flags[i], "loaded");
		check_equal(vmcs_read(VMCS_GUEST_RFLAGS), EFLAGS_FIXED | other, "saved");
		check_equal(vmcs_read(VMCS_GUEST_RSP), stack + 8, "sp");
		prefix_pop();
	}
}
VMX_SUBTEST("flags", test_flags);

/* DR7 is loaded under one control and saved under another; an exit leaves 0x400 in any case. */
static void look_at_dr7(void)
{
	seen = read_dr7();
	write_dr7(0x455);
}

static void test_dr7(void)
{
	for (unsigned int controls = 0; controls < 4; controls++) {
		struct vmx_guest *guest = calling_guest(look_at_dr7);
		bool load = controls & 1, save = controls & 2;

		prefix_push("%s.%s", load ? "load" : "no-load", save ? "save" : "no-save");
		if ((!load && vmx_requires(VMX_ENTRY_LOAD_DEBUG_CONTROLS)) ||
		    (!save && vmx_requires(VMX_EXIT_SAVE_DEBUG_CONTROLS))) {
			check_skip("the CPU requires the controls", "loaded");
			prefix_pop();
			continue;
		}
		(load ? vmx_set : vmx_clear)(VMX_ENTRY_LOAD_DEBUG_CONTROLS);
		(save ? vmx_set : vmx_clear)(VMX_EXIT_SAVE_DEBUG_CONTROLS);
		vmcs_write(VMCS_GUEST_DR7, 0x700);
		write_dr7(0x600);
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "exit");
		check_equal(seen, load ? 0x700 : 0x600, "loaded");
		check_equal(vmcs_read(VMCS_GUEST_DR7), save ? 0x455 : 0x700, "saved");
		check_equal(read_dr7(), 0x400, "in-l1");
		write_dr7(0x400);
		prefix_pop();
	}
}
VMX_SUBTEST("dr7", test_dr7);

/* Blocking as it is at the exit's instruction, and none one instruction later. */
static void check_blocking(struct vmx_guest *guest, u64 expected)
{
	(void)guest;
	check_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY_STATE), expected, "interruptibility");
	check_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE, "activity");
}

static void after_sti(struct vmx_guest *guest)
{
	check_blocking(guest, BLOCKING_BY_STI);
}

static void after_mov_ss(struct vmx_guest *guest)
{
	check_blocking(guest, BLOCKING_BY_MOV_SS);
}

static void after_nothing(struct vmx_guest *guest)
{
	check_blocking(guest, 0);
}

VMX_TEST("blocking_none", "hlt", .exits = { { EXIT_HLT, .then = after_nothing } },
	 .no_vmcall = true);
VMX_TEST("blocking_sti", "sti\n hlt", .exits = { { EXIT_HLT, .then = after_sti } },
	 .no_vmcall = true);
VMX_TEST("blocking_sti_over", "sti\n nop\n hlt", .exits = { { EXIT_HLT, .then = after_nothing } },
	 .no_vmcall = true);
VMX_TEST("blocking_mov_ss", "mov %ss, %eax\n mov %eax, %ss\n hlt",
	 .exits = { { EXIT_HLT, .then = after_mov_ss } }, .no_vmcall = true);
VMX_TEST("blocking_mov_ss_over", "mov %ss, %eax\n mov %eax, %ss\n nop\n hlt",
	 .exits = { { EXIT_HLT, .then = after_nothing } }, .no_vmcall = true);

/* Blocking that an entry loads lasts for one instruction, too: HLT in it shows it still. */
static void load_sti(struct vmx_guest *guest)
{
	(void)guest;
	vmcs_write(VMCS_GUEST_RFLAGS, EFLAGS_FIXED | EFLAGS_IF);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_STI);
}

static void load_mov_ss(struct vmx_guest *guest)
{
	(void)guest;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS);
}

VMX_TEST("blocking_loaded_sti", "hlt", .setup = load_sti,
	 .exits = { { EXIT_HLT, .then = after_sti } }, .no_vmcall = true);
VMX_TEST("blocking_loaded_sti_over", "nop\n hlt", .setup = load_sti,
	 .exits = { { EXIT_HLT, .then = after_nothing } }, .no_vmcall = true);
VMX_TEST("blocking_loaded_mov_ss", "hlt", .setup = load_mov_ss,
	 .exits = { { EXIT_HLT, .then = after_mov_ss } }, .no_vmcall = true);
VMX_TEST("blocking_loaded_mov_ss_over", "nop\n hlt", .setup = load_mov_ss,
	 .exits = { { EXIT_HLT, .then = after_nothing } }, .no_vmcall = true);
