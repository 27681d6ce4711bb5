// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an exit says of an instruction's operands, so that L1 need not decode it: the instruction
 * information and, as the qualification, the displacement of a memory operand. SDM volume 3C,
 * "Information for VM Exits Due to Instruction Execution", "Exit Qualification".
 *
 * A hypervisor gets this for its own exits and has to make it for those that it reflects from
 * its emulator. Fields that the manual calls undefined are not compared.
 *
 * Each instruction is executed with all operands of the table, one after the other: L1 skips it
 * by its length, so a wrong one spoils what follows.
 */
#include "exits.h"
#include "msr.h"

#define SCALE(n)      (n) /* 1 << n */
#define REGISTER_1(n) ((u32)(n) << 3)
#define ADDRESS(n)    ((u32)(n) << 7) /* 16, 32, 64 bits */
#define IS_REGISTER   BIT(10)
#define OPERAND_32    BIT(11)
#define SEGMENT(n)    ((u32)(n) << 15)
#define INDEX(n)      ((u32)(n) << 18)
#define NO_INDEX      BIT(22)
#define BASE(n)	      ((u32)(n) << 23)
#define NO_BASE	      BIT(27)
#define IDENTITY(n)   ((u32)(n) << 28)
#define REGISTER_2(n) ((u32)(n) << 28)

enum { AX, CX, DX, BX, SP, BP, SI, DI };
enum { ES, CS, SS, DS, FS, GS };

#ifdef __x86_64__
#define NATIVE		       ADDRESS(2)
#define SMALL		       ADDRESS(1)
#define SMALL_BASE	       "(%ebx)"
#define SMALL_BASE_INFORMATION (SMALL | BASE(BX) | NO_INDEX | SEGMENT(DS))
#define MODE_FORMS(text, end)                                                                      \
	text " 0x40(%r8,%r15,8)" end "\n" text " information_target(%rip)" end "\n"
#else
#define NATIVE		       ADDRESS(1)
#define SMALL		       ADDRESS(0)
#define SMALL_BASE	       "(%bx,%si)"
#define SMALL_BASE_INFORMATION (SMALL | BASE(BX) | INDEX(SI) | SCALE(0) | SEGMENT(DS))
#define MODE_FORMS(text, end)                                                                      \
	text " 0x40(%ebp,%edi,8)" end "\n" text " %es:information_target" end "\n"
#endif

/* The memory operands; end is what follows them. */
#define FORMS(label, text, end)                                                                    \
	L2_CODE(label,                                                                             \
		text " (" R(ax) ")" end "\n" text " 0x1234(" R(cx) ")" end "\n" text " -8(" R(     \
		    bp) ")" end "\n" text                                                          \
			" (" R(dx) "," R(si) ",4)" end "\n" text " 0x7000(," R(                    \
			    di) ",2)" end "\n" text                                                \
				" 0x12345678(" R(sp) ")" end "\n" text " %fs:(" R(                 \
				    bx) ")" end "\n" text                                          \
					" %gs:-1(" R(ax) ")" end "\n" text " " SMALL_BASE end      \
							 "\n" MODE_FORMS(text, end) "vmcall")

extern const u8 information_target[];
L2_CODE(information_target, ".fill 16, 1, 0");

static const struct form {
	const char *name;
	u32 information;
	ulong displacement;
} forms[] = {
	{ "base", NATIVE | BASE(AX) | NO_INDEX | SEGMENT(DS), 0 },
	{ "displacement", NATIVE | BASE(CX) | NO_INDEX | SEGMENT(DS), 0x1234 },
	{ "negative-ss", NATIVE | BASE(BP) | NO_INDEX | SEGMENT(SS), -8ul },
	{ "index-4", NATIVE | BASE(DX) | INDEX(SI) | SCALE(2) | SEGMENT(DS), 0 },
	{ "index-2-alone", NATIVE | NO_BASE | INDEX(DI) | SCALE(1) | SEGMENT(DS), 0x7000 },
	{ "stack", NATIVE | BASE(SP) | NO_INDEX | SEGMENT(SS), 0x12345678 },
	{ "fs", NATIVE | BASE(BX) | NO_INDEX | SEGMENT(FS), 0 },
	{ "gs-negative", NATIVE | BASE(AX) | NO_INDEX | SEGMENT(GS), -1ul },
	{ "smaller-address", SMALL_BASE_INFORMATION, 0 },
#ifdef __x86_64__
	{ "high-registers", NATIVE | BASE(8) | INDEX(15) | SCALE(3) | SEGMENT(DS), 0x40 },
	{ "rip-relative", NATIVE | NO_BASE | NO_INDEX | SEGMENT(DS), (ulong)information_target },
#else
	{ "index-8", NATIVE | BASE(BP) | INDEX(DI) | SCALE(3) | SEGMENT(SS), 0x40 },
	{ "es-absolute", NATIVE | NO_BASE | NO_INDEX | SEGMENT(ES), (ulong)information_target },
#endif
};

/* An instruction whose information has these bits besides. */
struct operands {
	const u8 *code;
	u32 reason, bits, mask;
	u32 control, control2;
	u64 feature;
};

/* The bits of the memory operand that this form defines. */
static u32 defined(u32 information)
{
	u32 mask = ADDRESS(7) | IS_REGISTER | SEGMENT(7) | NO_INDEX | NO_BASE;

	if (!(information & NO_INDEX))
		mask |= INDEX(15) | SCALE(3);
	if (!(information & NO_BASE))
		mask |= BASE(15);
	return mask;
}

static void check_form(struct vmx_guest *guest, const struct operands *row, const struct form *form)
{
	u32 mask = row->mask | defined(form->information);

	check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_INFORMATION) & mask,
		    form->information | row->bits, "%s.information", form->name);
	check_equal(vmcs_read(VMCS_EXIT_QUALIFICATION), form->displacement, "%s.displacement",
		    form->name);
}

static void test_operands(const void *argument)
{
	const struct operands *row = argument;
	struct vmx_guest *guest;

	if (!vmx_ready() || (row->control && !vmx_needs(row->control)) ||
	    (row->control2 && !vmx_needs(row->control2)))
		return;
	if (row->feature && !cpu_has(row->feature)) {
		subtest_skip("the CPU lacks the instruction (CPUID)");
		return;
	}
	guest = exits_guest(L2_NATIVE, row->code);
	if (row->control == VMX_SECONDARY_EPT)
		vmx_ept(guest);
	if (row->control == VMX_SECONDARY_VPID)
		vmx_vpid(guest);
	if (row->control)
		vmx_set(row->control);
	if (row->control2)
		vmx_set(row->control2);
	for (unsigned int i = 0; i < ARRAY_SIZE(forms); i++) {
		vmx_run(guest);
		if (!check_exit(guest, row->reason, "%s.exit", forms[i].name))
			break;
		check_form(guest, row, &forms[i]);
		vmx_skip();
	}
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "end");
	vmx_check_invariants();
}

#define OPERANDS(name, text, end, what, ...)                                                       \
	OPERANDS_(CONCAT(operands_, __LINE__), name, text, end, what, __VA_ARGS__)
#define OPERANDS_(label, name, text, end, what, ...)                                               \
	FORMS(label, text, end);                                                                   \
	static const struct operands CONCAT(                                                       \
	    row_, label) = { .code = label, .reason = what, __VA_ARGS__ };                         \
	SUBTEST_ARG("information." name, test_operands, &CONCAT(row_, label))

OPERANDS("vmclear", "vmclear", "", EXIT_VMCLEAR, .bits = 0);
OPERANDS("vmptrld", "vmptrld", "", EXIT_VMPTRLD, .bits = 0);
OPERANDS("vmptrst", "vmptrst", "", EXIT_VMPTRST, .bits = 0);
OPERANDS("vmxon", "vmxon", "", EXIT_VMXON, .bits = 0);
OPERANDS("vmread", "vmread " R(cx) ",", "", EXIT_VMREAD, .mask = REGISTER_2(15),
	 .bits = REGISTER_2(CX));
OPERANDS("vmwrite", "vmwrite", ", " R(di), EXIT_VMWRITE, .mask = REGISTER_2(15),
	 .bits = REGISTER_2(DI));
OPERANDS("invept", "invept", ", " R(cx), EXIT_INVEPT, .control = VMX_SECONDARY_EPT,
	 .mask = REGISTER_2(15), .bits = REGISTER_2(CX));
OPERANDS("invvpid", "invvpid", ", " R(si), EXIT_INVVPID, .control = VMX_SECONDARY_VPID,
	 .mask = REGISTER_2(15), .bits = REGISTER_2(SI));
OPERANDS("invpcid", "invpcid", ", " R(dx), EXIT_INVPCID, .control = VMX_SECONDARY_INVPCID,
	 .control2 = VMX_PRIMARY_INVLPG_EXITING, .mask = REGISTER_2(15), .bits = REGISTER_2(DX),
	 .feature = FEATURE_INVPCID);

#define TABLE(name, what, number)                                                                  \
	OPERANDS(name, name, "", what, .control = VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING,          \
		 .mask = IDENTITY(3), .bits = IDENTITY(number))
TABLE("sgdt", EXIT_ACCESS_TO_GDTR_OR_IDTR, 0);
TABLE("sidt", EXIT_ACCESS_TO_GDTR_OR_IDTR, 1);
TABLE("lgdt", EXIT_ACCESS_TO_GDTR_OR_IDTR, 2);
TABLE("lidt", EXIT_ACCESS_TO_GDTR_OR_IDTR, 3);
TABLE("sldt", EXIT_ACCESS_TO_LDTR_OR_TR, 0);
TABLE("str", EXIT_ACCESS_TO_LDTR_OR_TR, 1);
TABLE("lldt", EXIT_ACCESS_TO_LDTR_OR_TR, 2);
TABLE("ltr", EXIT_ACCESS_TO_LDTR_OR_TR, 3);

/* Operands of 16 and 32 bits; in 64-bit mode this bit is undefined. */
L2_CODE(sizes, ".code32\n sgdt (%eax)\n sgdtw (%eax)\n sidt (%eax)\n sidtw (%eax)\n"
	       "lgdt (%eax)\n lgdtw (%eax)\n lidt (%eax)\n lidtw (%eax)");

static void test_operand_size(void)
{
	static const char *const names[] = { "sgdt", "sidt", "lgdt", "lidt" };
	struct vmx_guest *guest;

	if (!vmx_needs(VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING))
		return;
	guest = exits_guest(L2_PAE, sizes);
	vmx_set(VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING);
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(names); i++) {
		const char *size = i & 1 ? "16" : "32";

		vmx_run(guest);
		check_exit(guest, EXIT_ACCESS_TO_GDTR_OR_IDTR, "%s.%s.exit", names[i / 2], size);
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_INFORMATION) & OPERAND_32,
			    i & 1 ? 0 : OPERAND_32, "%s.%s", names[i / 2], size);
		vmx_skip();
	}
}
VMX_SUBTEST("information.operand-size", test_operand_size);

/* Register operands; the qualification is 0 then. */
struct in_register {
	const u8 *code;
	u32 reason, control, information, mask;
};

static void test_register(const void *argument)
{
	const struct in_register *row = argument;
	struct vmx_guest *guest;

	if (!vmx_ready() || (row->control && !vmx_needs(row->control)))
		return;
	guest = exits_guest(L2_NATIVE, row->code);
	if (row->control)
		vmx_set(row->control);
	vmx_run(guest);
	if (check_exit_qualification(guest, row->reason, 0, "exit"))
		check_equal(vmcs_read(VMCS_VM_EXIT_INSTRUCTION_INFORMATION) & row->mask,
			    row->information, "information");
	vmx_check_invariants();
}

#define IN_REGISTER(name, text, ...)                                                               \
	IN_REGISTER_(CONCAT(in_register_, __LINE__), name, text, __VA_ARGS__)
#define IN_REGISTER_(label, name, text, ...)                                                       \
	L2_CODE(label, text);                                                                      \
	static const struct in_register CONCAT(row_, label) = { label, __VA_ARGS__ };              \
	SUBTEST_ARG("information.register." name, test_register, &CONCAT(row_, label))

#define TABLE_REGISTER(name, text, number, n)                                                      \
	IN_REGISTER(name, text, EXIT_ACCESS_TO_LDTR_OR_TR, VMX_SECONDARY_DESCRIPTOR_TABLE_EXITING, \
		    IDENTITY(number) | IS_REGISTER | REGISTER_1(n),                                \
		    IDENTITY(3) | IS_REGISTER | REGISTER_1(15))
TABLE_REGISTER("sldt", "sldt %ecx", 0, CX);
TABLE_REGISTER("str", "str %edi", 1, DI);
TABLE_REGISTER("lldt", "lldt %bp", 2, BP);
TABLE_REGISTER("ltr", "ltr %dx", 3, DX);
#define TWO_REGISTERS (IS_REGISTER | REGISTER_1(15) | REGISTER_2(15))
IN_REGISTER("vmread", "vmread " R(cx) ", " R(si), EXIT_VMREAD, 0,
	    IS_REGISTER | REGISTER_1(SI) | REGISTER_2(CX), TWO_REGISTERS);
IN_REGISTER("vmwrite", "vmwrite " R(bx) ", " R(di), EXIT_VMWRITE, 0,
	    IS_REGISTER | REGISTER_1(BX) | REGISTER_2(DI), TWO_REGISTERS);

/* Bits 12:11: an operand of 16, 32 or 64 bits. */
#define RANDOM_SIZE(n) ((u32)(n) << 11)
#define RANDOM(name, text, what, size, n)                                                          \
	IN_REGISTER(name, text, EXIT_##what, VMX_SECONDARY_##what##_EXITING,                       \
		    RANDOM_SIZE(size) | REGISTER_1(n), RANDOM_SIZE(3) | REGISTER_1(15))
RANDOM("rdrand-16", "rdrand %dx", RDRAND, 0, DX);
RANDOM("rdrand-32", "rdrand %esi", RDRAND, 1, SI);
RANDOM("rdseed-16", "rdseed %bp", RDSEED, 0, BP);
RANDOM("rdseed-32", "rdseed %ebx", RDSEED, 1, BX);
#ifdef __x86_64__
RANDOM("rdrand-64", "rdrand %r15", RDRAND, 2, 15);
RANDOM("rdseed-64", "rdseed %r8", RDSEED, 2, 8);
IN_REGISTER("vmread-high", "vmread %r9, %r14", EXIT_VMREAD, 0,
	    IS_REGISTER | REGISTER_1(14) | REGISTER_2(9), TWO_REGISTERS);
TABLE_REGISTER("str-high", "str %r12", 1, 12);
#endif
