// SPDX-License-Identifier: BSD-2-Clause
/*
 * In real-address mode and in virtual-8086 mode every VMX instruction is #UD, in VMX operation or
 * not, before its operand is looked at. VMX operation needs CR0.PE, so real mode comes outside of
 * it alone: there VMXON is the one that has nothing else to be #UD for, if CR4.VMXE is 1. SDM
 * volume 3C, "VMX Instruction Reference".
 *
 * Real mode is where another CPU starts: it is sent to code of ours. Virtual-8086 mode is a context
 * of the 32-bit images; in 64-bit mode there is none.
 */
#include "apic.h"
#include "context.h"
#include "control.h"
#include "cpu.h"
#include "instructions.h"
#include "msr.h"
#include "paging.h"
#include "smp.h"
#include "string.h"
#include "tsc.h"

#define LOW_PAGE 0x7000ul /* any free page below 1 MiB */

/*
 * Code in real mode: calls each slot, and writes down the vector of the fault, or NO_VECTOR. A
 * fault leaves its handler by the slot's return.
 */
#define SLOT_SIZE 16
#define SLOTS	  0x800 /* offsets in the page */
#define RESULTS	  0xc00
#define COUNT	  0xe00
#define CR4_VALUE 0xe04
#define DONE	  0xe08
#define NO_VECTOR 0xff

L2_CODE(real_start, ".code16\n cli\n mov %cs, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0xff0, %sp\n"
		    "lidtl %cs:(real_idt - real_start)\n"
		    "mov 0xe04, %eax\n mov %eax, %cr4\n mov $0x800, %si\n mov $0xc00, %di\n"
		    "1: movb $0xff, (%di)\n xor %bx, %bx\n xor %bp, %bp\n push %si\n push %di\n"
		    "call *%si\n 2: pop %di\n pop %si\n add $16, %si\n inc %di\n decw 0xe00\n"
		    "jnz 1b\n xor %eax, %eax\n mov %eax, %cr4\n movb $1, 0xe08\n 3: hlt\n jmp 3b\n"
		    /* Vector n's handler is at real_handlers + 4 * n: PUSH imm8, a short JMP. */
		    ".balign 4\n real_handlers: .set vector, 0\n .rept 32\n .balign 4\n"
		    ".byte 0x6a, vector\n jmp real_fault\n .set vector, vector + 1\n .endr\n"
		    "real_fault: pop %ax\n add $6, %sp\n mov %sp, %bp\n mov 2(%bp), %di\n"
		    "mov %al, (%di)\n ret\n"
		    ".balign 4\n real_idt: .word 127\n .long 0x7400\n"
		    ".globl real_end, real_handlers\n real_end:");
extern const u8 real_handlers[], real_end[];

static void put_slots(u8 *page)
{
	unsigned int i = 0;

	for_each_encoding(row)
	{
		u8 *slot = page + SLOTS + SLOT_SIZE * i++;

		memset(slot, 0x90, SLOT_SIZE);
		memcpy(slot, row->code, row->length);
		slot[SLOT_SIZE - 1] = 0xc3; /* RET */
	}
	/* The last one has no instruction, and no fault. */
	memset(page + SLOTS + SLOT_SIZE * i, 0x90, SLOT_SIZE);
	page[SLOTS + SLOT_SIZE * ++i - 1] = 0xc3;
	*(u16 *)(page + COUNT) = i;
}

/* The interrupt vector table that the code loads is in the page as well. */
static void put_vectors(u8 *page)
{
	u16 *vectors = (u16 *)(page + 0x400);

	for (unsigned int vector = 0; vector < 32; vector++) {
		vectors[2 * vector] = real_handlers - real_start + 4 * vector;
		vectors[2 * vector + 1] = LOW_PAGE >> 4;
	}
}

static void leave(void *unused)
{
	(void)unused;
	vmxoff();
}

static void enter(void *unused)
{
	(void)unused;
	write_cr0((read_cr0() | rdmsr(MSR_IA32_VMX_CR0_FIXED0)) & rdmsr(MSR_IA32_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | rdmsr(MSR_IA32_VMX_CR4_FIXED0)) & rdmsr(MSR_IA32_VMX_CR4_FIXED1));
	vmxon(vmx_on_region());
}

static void run_real(u32 cr4)
{
	u8 *page = (u8 *)LOW_PAGE;
	unsigned int i = 0;

	memset(page, 0, PAGE_SIZE);
	memcpy(page, real_start, real_end - real_start);
	put_slots(page);
	put_vectors(page);
	*(u32 *)(page + CR4_VALUE) = cr4;
	smp_stop(1);
	apic_icr_write(cpus[1]->apic_id,
		       APIC_DELIVERY_STARTUP | APIC_ASSERT | LOW_PAGE / PAGE_SIZE);
	check(WAIT_UNTIL(READ_ONCE(page[DONE]), 1000000), "ended");
	for_each_encoding(row) check_equal(page[RESULTS + i++], VECTOR_UD, "%s", row->name);
	check_equal(page[RESULTS + i], NO_VECTOR, "nop");
	smp_stop(1);
}

static void test_real(void)
{
	if (cpu_count() < 2) {
		subtest_skip("one CPU");
		return;
	}
	smp_call(1, leave, NULL);
	prefix_push("vmxe-0");
	run_real(0);
	prefix_pop();
	prefix_push("vmxe-1");
	run_real(CR4_VMXE);
	prefix_pop();
	smp_restart(1);
	smp_call(1, enter, NULL);
}

VMX_SUBTEST("real-mode", test_real);

#ifndef __x86_64__
/* A selector with RPL 3, as context.h wants it; its base is the code's page and 48 bytes. */
#define V8086_SELECTOR ((LOW_PAGE >> 4) | 3)
#define V8086_CODE     ((u8 *)(V8086_SELECTOR << 4))

static struct fault run_v8086(const struct encoding *row)
{
	struct context context = context_user(NULL);

	memcpy(V8086_CODE, row->code, row->length);
	memcpy(V8086_CODE + row->length, "\x0f\x0b", 2);
	context.flags |= EFLAGS_VM;
	context.cs = context.ss = V8086_SELECTOR;
	context.ip = 0;
	context.sp = 0x800;
	context.end = row->length;
	context.bx = context.di = 0x400;
	context.bp = 0;
	context.cx = VMCS_GUEST_RIP;
	return context_run(&context);
}

/* The UD2 behind an instruction of another kind is reached: it is not that nothing runs there. */
static void test_v8086(void)
{
	static const struct encoding nop = { "nop", 1, "\x90" };

	two_vmcss();
	check_fault(run_v8086(&nop), NO_FAULT, "nop");
	for_each_encoding(row) check_fault(run_v8086(row), FAULT_UD, "root.%s", row->name);
	vmxoff();
	for_each_encoding(row) check_fault(run_v8086(row), FAULT_UD, "off.%s", row->name);
	vmxon(vmx_on_region());
}

VMX_SUBTEST("v8086-mode", test_v8086);
#endif
