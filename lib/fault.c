// SPDX-License-Identifier: BSD-2-Clause
#include "fault.h"
#include "printf.h"

static const char *const vector_names[] = {
	[VECTOR_DE] = "#DE", [VECTOR_DB] = "#DB",   [VECTOR_NMI] = "NMI", [VECTOR_BP] = "#BP",
	[VECTOR_OF] = "#OF", [VECTOR_BR] = "#BR",   [VECTOR_UD] = "#UD",  [VECTOR_NM] = "#NM",
	[VECTOR_DF] = "#DF", [VECTOR_CSO] = "#CSO", [VECTOR_TS] = "#TS",  [VECTOR_NP] = "#NP",
	[VECTOR_SS] = "#SS", [VECTOR_GP] = "#GP",   [VECTOR_PF] = "#PF",  [VECTOR_MF] = "#MF",
	[VECTOR_AC] = "#AC", [VECTOR_MC] = "#MC",   [VECTOR_XM] = "#XM",  [VECTOR_VE] = "#VE",
	[VECTOR_CP] = "#CP", [VECTOR_HV] = "#HV",   [VECTOR_VC] = "#VC",  [VECTOR_SX] = "#SX",
};

const char *vector_name(unsigned int vector)
{
	return vector < ARRAY_SIZE(vector_names) ? vector_names[vector] : NULL;
}

int fault_format(char *buffer, size_t size, struct fault fault)
{
	const char *name = vector_name(fault_vector(fault));
	char number[16];

	if (!fault_raised(fault))
		return snprintf(buffer, size, "no fault");
	if (!name) {
		snprintf(number, sizeof(number), "vector %u", fault_vector(fault));
		name = number;
	}
	if (!fault_has_error_code(fault))
		return snprintf(buffer, size, "%s", name);
	return snprintf(buffer, size, "%s(%#x)", name, fault_error_code(fault));
}
