// SPDX-License-Identifier: BSD-2-Clause
/*
 * CR0 and CR4: SDM volume 3C, "Guest/Host Masks and Read Shadows for CR0 and CR4", and what they
 * change in MOV CR, CLTS, LMSW and SMSW ("Changes to Instruction Behavior in VMX Non-Root
 * Operation"). The qualification names the register, the access and the operand: "Exit
 * Qualification for Control-Register Accesses".
 *
 * L2 owns some bits of a register and L1 the others, and what L2 reads of those is a third
 * value. A hypervisor that nests has three owners, and merges its own mask into L1's: it
 * has to take it apart again for every exit.
 */
#include "control_registers.h"

EXITS_TEXT(to_cr0, "", "mov " R(cx) ", %cr0");
EXITS_TEXT(to_cr4, "", "mov " R(cx) ", %cr4");
EXITS_TEXT(from_cr0, "", "mov %cr0, " R(si));
EXITS_TEXT(from_cr4, "", "mov %cr4, " R(si));

static const struct control_register {
	const char *name;
	unsigned int number;
	u32 guest, mask, shadow; /* the fields */
	const u8 *to, *from;
	u32 changeable; /* nothing here depends on these bits */
} registers[] = {
	{ "cr0", 0, VMCS_GUEST_CR0, VMCS_CR0_GUEST_HOST_MASK, VMCS_CR0_READ_SHADOW, to_cr0,
	  from_cr0, CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM },
	{ "cr4", 4, VMCS_GUEST_CR4, VMCS_CR4_GUEST_HOST_MASK, VMCS_CR4_READ_SHADOW, to_cr4,
	  from_cr4, CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_MCE | CR4_PCE | CR4_OSFXSR },
};

static struct vmx_guest *prepare(const struct control_register *cr, const u8 *code, u64 mask,
				 u64 shadow)
{
	struct vmx_guest *guest = exits_guest(L2_NATIVE, code);

	vmcs_write(cr->mask, mask);
	vmcs_write(cr->shadow, shadow);
	return guest;
}

/* MOV to CR exits if a bit of the mask has another value than in the shadow; never else. */
static void test_bit(const struct control_register *cr, unsigned int bit, bool set)
{
	ulong mask = 1ul << bit;
	struct vmx_guest *guest = prepare(cr, cr->to, mask, set ? mask : 0);
	ulong value = vmcs_read(cr->guest);

	guest->world.registers.cx = (value & ~mask) | (set ? 0 : mask);
	vmx_run(guest);
	check_exit_qualification(guest, EXIT_CR_ACCESS, ACCESS(cr->number, MOV_TO) | GPR(1),
				 "%s.bit-%u.shadow-%u.other", cr->name, bit, set);
	check_equal(vmcs_read(cr->guest), value, "%s.bit-%u.shadow-%u.other.kept", cr->name, bit,
		    set);
	/* The others must be what they are: MOV to CR might not be possible otherwise. */
	if (!(cr->changeable & mask))
		return;
	guest->world.registers.cx ^= mask;
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "%s.bit-%u.shadow-%u.same", cr->name, bit, set);
	check_equal(vmcs_read(cr->guest), value, "%s.bit-%u.shadow-%u.same.kept", cr->name, bit,
		    set);
}

static void test_masks(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		for (unsigned int bit = 0; bit < 32; bit++) {
			test_bit(&registers[i], bit, false);
			test_bit(&registers[i], bit, true);
		}
#ifdef __x86_64__
		test_bit(&registers[i], 32, false);
		test_bit(&registers[i], 63, true);
#endif
	}
}
VMX_SUBTEST("cr.mask", test_masks);

/* Bits that the mask leaves to L2 are written, whatever the shadow says of them. */
static void test_unmasked(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		const struct control_register *cr = &registers[i];

		for (unsigned int bit = 0; bit < 32; bit++) {
			ulong one = 1ul << bit, mask = cr->changeable & ~one, value;
			struct vmx_guest *guest;

			if (!(cr->changeable & one))
				continue;
			guest = prepare(cr, cr->to, mask, mask);
			value = vmcs_read(cr->guest) ^ one;
			guest->world.registers.cx = value | mask;
			vmx_run(guest);
			check_exit(guest, EXIT_VMCALL, "%s.bit-%u.exit", cr->name, bit);
			check_equal(vmcs_read(cr->guest), value, "%s.bit-%u.value", cr->name, bit);
		}
	}
}
VMX_SUBTEST("cr.unmasked", test_unmasked);

/* MOV from CR: the shadow's bits where the mask is 1, in the register's whole width. */
static void test_read(void)
{
	static const ulong masks[] = { 0, ~0ul, 1, 0x80000008, (ulong)0x5555aaaa5555aaaa };
	static const ulong shadows[] = { 0, ~0ul, (ulong)0x123456789abcdef0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		const struct control_register *cr = &registers[i];

		for (unsigned int m = 0; m < ARRAY_SIZE(masks); m++) {
			for (unsigned int n = 0; n < ARRAY_SIZE(shadows); n++) {
				struct vmx_guest *guest =
				    prepare(cr, cr->from, masks[m], shadows[n]);
				ulong value = vmcs_read(cr->guest);

				vmx_run(guest);
				check_exit(guest, EXIT_VMCALL, "%s.mask-%lx.shadow-%lx.exit",
					   cr->name, masks[m], shadows[n]);
				check_equal(guest->world.registers.si,
					    (value & ~masks[m]) | (shadows[n] & masks[m]),
					    "%s.mask-%lx.shadow-%lx", cr->name, masks[m],
					    shadows[n]);
			}
		}
	}
}
VMX_SUBTEST("cr.read", test_read);

/* SMSW never exits; the other half of a 32-bit register is undefined. */
EXITS_TEXT(smsw, "", "smsw %cx");
EXITS_TEXT(smsw_memory, "", "smsw (" R(ax) ")");

static void test_smsw(void)
{
	static const u16 masks[] = { 0, 0xffff, 1, 0xa };

	for (unsigned int m = 0; m < ARRAY_SIZE(masks); m++) {
		struct vmx_guest *guest = prepare(&registers[0], smsw, masks[m], 0x5234);
		u16 expected = (vmcs_read(VMCS_GUEST_CR0) & ~masks[m]) | (0x5234 & masks[m]);

		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "register.mask-%x.exit", masks[m]);
		check_equal((u16)guest->world.registers.cx, expected, "register.mask-%x", masks[m]);

		guest = prepare(&registers[0], smsw_memory, masks[m], 0x5234);
		guest->world.registers.ax = (ulong)operand();
		*(u32 *)operand() = 0;
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "memory.mask-%x.exit", masks[m]);
		check_equal(*(u32 *)operand(), expected, "memory.mask-%x", masks[m]);
	}
}
VMX_SUBTEST("cr.smsw", test_smsw);

/* CLTS exits if L1 owns TS and L2 would read 1; if it would read 0 nothing happens. */
EXITS_TEXT(clts, "", "clts");

static void test_clts(void)
{
	for (unsigned int i = 0; i < 8; i++) {
		ulong mask = i & 1 ? CR0_TS : 0, shadow = i & 2 ? CR0_TS : 0;
		ulong ts = i & 4 ? CR0_TS : 0;
		struct vmx_guest *guest = prepare(&registers[0], clts, mask, shadow);

		prefix_push("mask-%u.shadow-%u.ts-%u", i & 1, i >> 1 & 1, i >> 2 & 1);
		vmcs_write(VMCS_GUEST_CR0, (vmcs_read(VMCS_GUEST_CR0) & ~CR0_TS) | ts);
		vmx_run(guest);
		if (mask && shadow)
			check_exit_qualification(guest, EXIT_CR_ACCESS, ACCESS(0, CLTS), "exit");
		else
			check_exit(guest, EXIT_VMCALL, "exit");
		check_equal(vmcs_read(VMCS_GUEST_CR0) & CR0_TS, mask ? ts : 0, "ts");
		prefix_pop();
	}
}
VMX_SUBTEST("cr.clts", test_clts);

/* LMSW can set PE and not clear it: that exits only if it would set it. */
EXITS_TEXT(lmsw, "", "lmsw %cx");
EXITS_TEXT(lmsw_memory, "", "lmsw (" R(ax) ")");

static const struct {
	const char *name;
	u16 mask, shadow, source;
	bool exit;
	u8 cr0; /* its low 4 bits afterwards */
} lmsw_rows[] = {
	{ "pe-set", CR0_PE, 0, CR0_PE, true, CR0_PE },
	{ "pe-clear", CR0_PE, CR0_PE, 0, false, CR0_PE },
	{ "pe-stays-clear", CR0_PE, 0, 0, false, CR0_PE },
	{ "pe-stays-set", CR0_PE, CR0_PE, CR0_PE, false, CR0_PE },
	{ "mp-set", CR0_MP, 0, CR0_MP | CR0_PE, true, CR0_PE },
	{ "mp-clear", CR0_MP, CR0_MP, 0, true, CR0_PE },
	{ "mp-shadow", CR0_MP, CR0_MP, CR0_MP, false, CR0_PE },
	{ "em-set", CR0_EM, 0, CR0_EM, true, CR0_PE },
	{ "em-clear", CR0_EM, CR0_EM, 0, true, CR0_PE },
	{ "em-shadow", CR0_EM, CR0_EM, CR0_EM, false, CR0_PE },
	{ "ts-set", CR0_TS, 0, CR0_TS, true, CR0_PE },
	{ "ts-clear", CR0_TS, CR0_TS, 0, true, CR0_PE },
	{ "ts-shadow", CR0_TS, CR0_TS, CR0_TS, false, CR0_PE },
	{ "unmasked", 0, 0, 0xffff, false, CR0_PE | CR0_MP | CR0_EM | CR0_TS },
	{ "others-unmasked", CR0_TS, 0, CR0_MP, false, CR0_PE | CR0_MP },
	{ "other-bits", 0xfff0, 0, 0xfff1, false, CR0_PE },
};

static void test_lmsw(void)
{
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(lmsw_rows); i++) {
		bool memory = i & 1;
		__typeof__(&lmsw_rows[0]) row = &lmsw_rows[i / 2];
		struct vmx_guest *guest =
		    prepare(&registers[0], memory ? lmsw_memory : lmsw, row->mask, row->shadow);

		prefix_push("%s.%s", row->name, memory ? "memory" : "register");
		guest->world.registers.ax = (ulong)operand() + 6;
		guest->world.registers.cx = row->source;
		*(u16 *)(operand() + 6) = row->source;
		vmcs_write(VMCS_GUEST_CR0,
			   vmcs_read(VMCS_GUEST_CR0) & ~(ulong)(CR0_MP | CR0_EM | CR0_TS));
		vmx_run(guest);
		if (!row->exit) {
			check_exit(guest, EXIT_VMCALL, "exit");
		} else {
			check_exit_qualification(guest, EXIT_CR_ACCESS,
						 ACCESS(0, LMSW) | LMSW_SOURCE(row->source) |
						     (memory ? LMSW_MEMORY : 0),
						 "exit");
			if (memory)
				check_equal(vmcs_read(VMCS_GUEST_LINEAR_ADDRESS),
					    guest->world.registers.ax, "linear-address");
		}
		check_equal(vmcs_read(VMCS_GUEST_CR0) & 15, row->cr0, "cr0");
		prefix_pop();
	}
}
VMX_SUBTEST("cr.lmsw", test_lmsw);

/* Each general register as the operand, its number in the qualification. */
#define MOVES(name)                                                                                \
	"mov " R(ax) ", %" name "\n mov " R(cx) ", %" name "\n mov " R(                            \
	    dx) ", %" name "\n"                                                                    \
		"mov " R(bx) ", %" name "\n mov " R(sp) ", %" name "\n mov " R(                    \
		    bp) ", %" name "\n"                                                            \
			"mov " R(si) ", %" name "\n mov " R(di) ", %" name "\n"
#ifdef __x86_64__
#define HIGH_MOVES(name)                                                                           \
	"mov %r8, %" name "\n mov %r9, %" name "\n mov %r10, %" name "\n mov %r11, %" name "\n"    \
	"mov %r12, %" name "\n mov %r13, %" name "\n mov %r14, %" name "\n mov %r15, %" name "\n"
#else
#define HIGH_MOVES(name)
#endif
L2_CODE(all_to_cr0, MOVES("cr0") HIGH_MOVES("cr0") "vmcall");
L2_CODE(all_to_cr4, MOVES("cr4") HIGH_MOVES("cr4") "vmcall");

static void test_registers(void)
{
	static const u8 *const codes[] = { all_to_cr0, all_to_cr4 };

	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		const struct control_register *cr = &registers[i];
		struct vmx_guest *guest = prepare(cr, codes[i], ~0ull, 0xaaaa);

		for (unsigned int n = 0; n < 2 * sizeof(ulong); n++) {
			vmx_run(guest);
			check_exit_qualification(guest, EXIT_CR_ACCESS,
						 ACCESS(cr->number, MOV_TO) | GPR(n), "%s.gpr-%u",
						 cr->name, n);
			vmx_skip();
		}
		vmx_run(guest);
		check_exit(guest, EXIT_VMCALL, "%s.end", cr->name);
	}
}
VMX_SUBTEST("cr.registers", test_registers);
