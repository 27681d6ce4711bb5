// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an exit loads from the host-state area is what the field says, not what L1 had when it
 * entered: each field in turn gets another value than L1 has, and L2 exits at once. Hypervisors
 * between two kernels have both the same all their lives, so that a machine that keeps what L1 had
 * would never be noticed.
 *
 * SDM volume 3C, "Loading Host Control Registers, Debug Registers, MSRs", "Loading Host Segment and
 * Descriptor-Table Registers".
 */
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "msr.h"
#include "page_alloc.h"
#include "paging.h"
#include "selectors.h"
#include "state.h"
#include "string.h"

#define OTHER_DS TEST_SELECTOR(0)

L2_CODE(code_exit, "vmcall");

static u64 toggle(u64 now, u64 bits)
{
	return now ^ bits;
}

static u64 instead(u64 now, u64 value)
{
	(void)now;
	return value;
}

/* A copy of some pages, from the one that holds an address. */
static u64 copy_pages(u64 now, u64 count)
{
	u64 start = ALIGN_DOWN(now, PAGE_SIZE);

	return (ulong)memcpy(pages_alloc(count, PAGE_SIZE), (void *)(ulong)start,
			     count * PAGE_SIZE) +
	       (now - start);
}

static void load_table(void (*load)(const struct descriptor_pointer *pointer), u16 limit, u64 base)
{
	const struct descriptor_pointer pointer = { limit, base };

	load(&pointer);
}

#define REGISTER(name, expression, statement)                                                      \
	static u64 get_##name(void)                                                                \
	{                                                                                          \
		return expression;                                                                 \
	}                                                                                          \
	static void set_##name(u64 value)                                                          \
	{                                                                                          \
		statement;                                                                         \
	}
#define MSR(name, number) REGISTER(name, rdmsr(number), wrmsr(number, value))
#define SEGMENT(name)	  REGISTER(name, read_##name(), write_##name(value))

REGISTER(cr0, read_cr0(), write_cr0(value))
REGISTER(cr3, read_cr3(), write_cr3(value))
REGISTER(cr4, read_cr4(), write_cr4(value))
MSR(sysenter_cs, MSR_IA32_SYSENTER_CS)
MSR(sysenter_esp, MSR_IA32_SYSENTER_ESP)
MSR(sysenter_eip, MSR_IA32_SYSENTER_EIP)
REGISTER(gdtr, sgdt().base, load_table(lgdt, sgdt().limit, value))
REGISTER(idtr, sidt().base, load_table(lidt, sidt().limit, value))
SEGMENT(ds)
SEGMENT(es)
SEGMENT(fs)
SEGMENT(gs)
SEGMENT(ss)
#ifdef __x86_64__
MSR(fs_base, MSR_FS_BASE)
MSR(gs_base, MSR_GS_BASE)
#endif

#define CPU_PAGES (ALIGN_UP(sizeof(struct cpu), PAGE_SIZE) / PAGE_SIZE)

static const struct row {
	const char *name;
	u32 field;
	u64 (*get)(void);
	void (*set)(u64 value);
	u64 (*other)(u64 now, u64 argument);
	u64 argument;
} rows[] = {
	{ "cr0.ts", VMCS_HOST_CR0, get_cr0, set_cr0, toggle, CR0_TS },
	{ "cr0.mp", VMCS_HOST_CR0, get_cr0, set_cr0, toggle, CR0_MP },
	{ "cr0.am", VMCS_HOST_CR0, get_cr0, set_cr0, toggle, CR0_AM },
	{ "cr4.tsd", VMCS_HOST_CR4, get_cr4, set_cr4, toggle, CR4_TSD },
	{ "cr4.de", VMCS_HOST_CR4, get_cr4, set_cr4, toggle, CR4_DE },
	{ "cr3", VMCS_HOST_CR3, get_cr3, set_cr3, copy_pages, 1 },
	{ "sysenter_cs", VMCS_HOST_IA32_SYSENTER_CS, get_sysenter_cs, set_sysenter_cs, instead,
	  0x1234 },
	{ "sysenter_esp", VMCS_HOST_IA32_SYSENTER_ESP, get_sysenter_esp, set_sysenter_esp, instead,
	  0x12345678 },
	{ "sysenter_eip", VMCS_HOST_IA32_SYSENTER_EIP, get_sysenter_eip, set_sysenter_eip, instead,
	  0x7bcdef01 },
#ifdef __x86_64__
	{ "sysenter_esp-high", VMCS_HOST_IA32_SYSENTER_ESP, get_sysenter_esp, set_sysenter_esp,
	  instead, 0xffff800012345678 },
	{ "sysenter_eip-high", VMCS_HOST_IA32_SYSENTER_EIP, get_sysenter_eip, set_sysenter_eip,
	  instead, 0x00007bcdef001234 },
	{ "fs.base", VMCS_HOST_FS_BASE, get_fs_base, set_fs_base, instead, 0xffff800012345678 },
	{ "gs.base", VMCS_HOST_GS_BASE, get_gs_base, set_gs_base, instead, 0x00007bcdef001234 },
#endif
	/* A CPU's GDT is found by SGDT, and is the beginning of all that the CPU has. */
	{ "gdtr.base", VMCS_HOST_GDTR_BASE, get_gdtr, set_gdtr, copy_pages, CPU_PAGES },
	{ "idtr.base", VMCS_HOST_IDTR_BASE, get_idtr, set_idtr, copy_pages, 2 },
	{ "ds", VMCS_HOST_DS_SELECTOR, get_ds, set_ds, instead, OTHER_DS },
	{ "es", VMCS_HOST_ES_SELECTOR, get_es, set_es, instead, OTHER_DS },
	{ "fs", VMCS_HOST_FS_SELECTOR, get_fs, set_fs, instead, OTHER_DS },
	{ "gs", VMCS_HOST_GS_SELECTOR, get_gs, set_gs, instead, OTHER_DS },
	{ "ss", VMCS_HOST_SS_SELECTOR, get_ss, set_ss, instead, OTHER_DS },
};

/* L1 at the entry has its own value; the field's is there after it, and only then put right. */
static void test_host(void)
{
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, code_exit);

	gdt_set(OTHER_DS, gdt_get(KERNEL_DS));
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		u64 original, other, after;

		vmx_guest_again(guest, L2_NATIVE, code_exit);
		original = row->get();
		other = row->other(original, row->argument);
		vmcs_write(row->field, other);
		vmx_run(guest);
		after = row->get();
		row->set(original);
		check_exit(guest, EXIT_VMCALL, "%s.exit", row->name);
		check_equal(after, other, "%s.loaded", row->name);
	}
}
VMX_SUBTEST("host_state", test_host);

/*
 * TR's base cannot be read, but a trap from ring 3 finds its stack in the TSS: that of a copy with
 * another stack. The selector is L1's own, whose descriptor names the TSS that is not used.
 */
static ulong in_ring3(ulong argument)
{
	return argument;
}

static ulong words_on(const ulong *stack_top)
{
	return stack_top[-1]; /* SS is the first that is pushed */
}

static void set_stack(tss_t *tss, ulong top)
{
#ifdef __x86_64__
	tss->rsp[0] = top;
#else
	tss->esp0 = top;
	tss->ss0 = KERNEL_DS;
#endif
}

static void test_host_tr(void)
{
	struct cpu *cpu = this_cpu();
	struct vmx_guest *guest = vmx_guest(L2_NATIVE, code_exit);
	tss_t *tss = pages_alloc(1, PAGE_SIZE);
	ulong *top = (ulong *)((u8 *)pages_alloc(4, PAGE_SIZE) + 4 * PAGE_SIZE);
	ulong result = 0;

	*tss = cpu->tss;
	set_stack(tss, (ulong)top);
	vmcs_write(VMCS_HOST_TR_BASE, (ulong)tss);
	check_equal(words_on(top), 0, "before");
	vmx_run(guest);
	check_exit(guest, EXIT_VMCALL, "exit");
	check_fault(user_call(in_ring3, 0x1234, &result), NO_FAULT, "ring3");
	/* An exit makes TR's segment busy and leaves the descriptor: LTR wants it available. */
	gdt_set_system(TSS_SELECTOR, (ulong)&cpu->tss, sizeof(tss_t), DESC_PRESENT | DESC_TSS);
	ltr(TSS_SELECTOR);
	check_equal(result, 0x1234, "result");
	check_equal(words_on(top), USER_DS, "stack");
}
VMX_SUBTEST("host_tr_base", test_host_tr);
