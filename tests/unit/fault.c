// SPDX-License-Identifier: BSD-2-Clause
/* lib/fault.h: a fault as one value, taken apart and printed as the manuals write it. */
#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "tap.h"

static const struct {
	struct fault fault;
	const char *text;
} printed[] = {
	{ { 0 }, "no fault" },
	{ { FAULT_VALUE(VECTOR_DE) }, "#DE" },
	{ { FAULT_VALUE(VECTOR_DB) }, "#DB" },
	{ { FAULT_VALUE(VECTOR_NMI) }, "NMI" },
	{ { FAULT_VALUE(VECTOR_UD) }, "#UD" },
	{ { FAULT_VALUE_EC(VECTOR_DF, 0) }, "#DF(0)" },
	{ { FAULT_VALUE_EC(VECTOR_GP, 0) }, "#GP(0)" },
	{ { FAULT_VALUE_EC(VECTOR_SS, 0x18) }, "#SS(0x18)" },
	{ { FAULT_VALUE_EC(VECTOR_PF, 0x3) }, "#PF(0x3)" },
	{ { FAULT_VALUE_EC(VECTOR_TS, 0xfffb) }, "#TS(0xfffb)" },
	{ { FAULT_VALUE(VECTOR_XM) }, "#XM" },
	{ { FAULT_VALUE(33) }, "vector 33" },
	{ { FAULT_VALUE(255) }, "vector 255" },
};

static void test_printing(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(printed); i++) {
		char text[32];
		int length = guest_fault_format(text, sizeof(text), printed[i].fault);

		tap_text(text, printed[i].text, "fault_format of %s", printed[i].text);
		tap_number(length, strlen(printed[i].text), "its length");
	}
}

/* Every value must come back out as it went in, and no two may be equal. */
static void test_fields(void)
{
	static const u32 codes[] = { 0, 1, 0x18, 0x7fff, 0xffff, 0x80000000, 0x80000007 };
	unsigned int wrong = 0, equal = 0;

	for (unsigned int vector = 0; vector < 256; vector++) {
		struct fault plain = fault_make(vector, false, 0);

		wrong += !fault_raised(plain) || fault_has_error_code(plain) ||
			 fault_vector(plain) != vector;
		equal += fault_equal(plain, NO_FAULT);
		for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
			struct fault fault = fault_make(vector, true, codes[i]);

			wrong += !fault_raised(fault) || !fault_has_error_code(fault) ||
				 fault_vector(fault) != vector || fault_error_code(fault) != codes[i];
			equal += fault_equal(fault, plain) || fault_equal(fault, NO_FAULT);
			for (size_t j = 0; j < i; j++)
				equal += fault_equal(fault, fault_make(vector, true, codes[j]));
		}
	}
	tap_number(wrong, 0, "vector and error code come back");
	tap_number(equal, 0, "different faults are different values");
	tap_ok(fault_equal(FAULT_GP(0), fault_make(13, true, 0)), "FAULT_GP(0) is vector 13, code 0");
	tap_ok(!fault_raised(NO_FAULT), "NO_FAULT is none");
	tap_ok(fault_raised(FAULT_DE), "#DE, vector 0, is one");
}

int main(void)
{
	test_printing();
	test_fields();
	return tap_done();
}
