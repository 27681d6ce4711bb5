// SPDX-License-Identifier: BSD-2-Clause
/*
 * The states of a VMCS, by a model: two VMCSs, each clear or launched, and which of them is
 * current. From each of the twelve states each instruction that may change it is executed once; its
 * outcome, what is current then, and the launch state of both must be as SDM volume 3C, "Software
 * Use of the Virtual-Machine Control Structure" (figure "States of VMCS X") has it.
 */
#include "instructions.h"

L2_CODE(transitions_hlt, "1: hlt\n jmp 1b");

enum { NONE = -1, A, B };

struct state {
	int current;
	bool launched[2];
};

static struct vmx_guest *guests[2];

/* VMLAUNCH or VMRESUME, up to an HLT or to an error. */
static struct vmx_result enter(struct vmx_guest *guest, bool resume)
{
	guest->world.launched = resume;
	guest->world.exited = false;
	vmx_world_switch(&guest->world);
	if (guest->world.exited)
		return VMX_SUCCEED;
	return vmx_result((struct fault){ guest->world.fault }, guest->world.flags & 1,
			  guest->world.flags & 0x40);
}

/* The way into a state: both clear, entries where they are launched, then what is current. */
static void establish(const struct state *state)
{
	for (int i = A; i <= B; i++) {
		vmclear(guests[i]->vmcs_pa);
		vmptrld(guests[i]->vmcs_pa);
		if (state->launched[i])
			enter(guests[i], false);
	}
	if (state->current != NONE) {
		vmptrld(guests[state->current]->vmcs_pa);
	} else {
		/* A third one takes the place, and leaves it empty. */
		static void *third;

		if (!third)
			third = vmx_region();
		vmclear((ulong)third);
		vmptrld((ulong)third);
		vmclear((ulong)third);
	}
}

static struct vmx_result load_a(struct state *state)
{
	state->current = A;
	return vmptrld(guests[A]->vmcs_pa);
}

static struct vmx_result load_b(struct state *state)
{
	state->current = B;
	return vmptrld(guests[B]->vmcs_pa);
}

static struct vmx_result clear(struct state *state, int which)
{
	state->launched[which] = false;
	if (state->current == which)
		state->current = NONE;
	return vmclear(guests[which]->vmcs_pa);
}

static struct vmx_result clear_a(struct state *state)
{
	return clear(state, A);
}

static struct vmx_result clear_b(struct state *state)
{
	return clear(state, B);
}

static struct vmx_result launch(struct state *state)
{
	int current = state->current;

	if (current != NONE)
		state->launched[current] = true;
	return enter(guests[current == NONE ? A : current], false);
}

static struct vmx_result resume(struct state *state)
{
	return enter(guests[state->current == NONE ? A : state->current], true);
}

static struct vmx_result store(struct state *state)
{
	u64 address;

	(void)state;
	return vmptrst(&address);
}

static const struct operation {
	const char *name;
	struct vmx_result (*execute)(struct state *state); /* and what becomes of the state */
} operations[] = {
	{ "vmptrld-a", load_a },  { "vmptrld-b", load_b }, { "vmclear-a", clear_a },
	{ "vmclear-b", clear_b }, { "vmlaunch", launch },  { "vmresume", resume },
	{ "vmptrst", store },
};

static struct vmx_result outcome(const struct state *state, const struct operation *operation)
{
	bool entry = operation->execute == launch || operation->execute == resume;

	if (!entry)
		return VMX_SUCCEED;
	if (state->current == NONE)
		return VMX_FAIL_INVALID;
	if (operation->execute == launch && state->launched[state->current])
		return VMX_FAIL_VALID(VM_ERROR_VMLAUNCH_NON_CLEAR);
	if (operation->execute == resume && !state->launched[state->current])
		return VMX_FAIL_VALID(VM_ERROR_VMRESUME_NON_LAUNCHED);
	return VMX_SUCCEED;
}

/* A VMRESUME tells the launch state; its error changes nothing. */
static void check_state(const struct state *state)
{
	check_equal(current_vmcs(),
		    state->current == NONE ? NO_VMCS : guests[state->current]->vmcs_pa, "current");
	for (int i = A; i <= B; i++) {
		vmptrld(guests[i]->vmcs_pa);
		check_vmx(enter(guests[i], true),
			  state->launched[i] ? VMX_SUCCEED
					     : VMX_FAIL_VALID(VM_ERROR_VMRESUME_NON_LAUNCHED),
			  "%c-launched", 'a' + i);
	}
}

static void test_transitions(void)
{
	for (int i = A; i <= B; i++)
		guests[i] = vmx_guest(L2_NATIVE, transitions_hlt);
	for (unsigned int number = 0; number < 12 * ARRAY_SIZE(operations); number++) {
		const struct operation *operation = &operations[number / 12];
		struct state state = {
			.current = (int)(number % 3) - 1,
			.launched = { number / 3 & 1, number / 6 & 1 },
		};
		struct vmx_result expected = outcome(&state, operation);

		prefix_push("%s.current-%c.a-%s.b-%s", operation->name,
			    state.current == NONE ? '0' : 'a' + state.current,
			    state.launched[A] ? "launched" : "clear",
			    state.launched[B] ? "launched" : "clear");
		establish(&state);
		check_vmx(operation->execute(&state), expected, "outcome");
		check_state(&state);
		prefix_pop();
	}
	for (int i = A; i <= B; i++)
		vmx_forget(guests[i]);
}

VMX_SUBTEST("transitions", test_transitions);
