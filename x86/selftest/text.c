// SPDX-License-Identifier: BSD-2-Clause
/*
 * printf, the string functions and the arguments, as they work inside a guest of
 * each mode. tests/unit/ looks at them more closely on the build host.
 */
#include "args.h"
#include "fault.h"
#include "printf.h"
#include "report.h"
#include "string.h"

static const struct fault gp = { FAULT_VALUE_EC(VECTOR_GP, 0x18) }, ud = { FAULT_VALUE(VECTOR_UD) },
			  de = { FAULT_VALUE(VECTOR_DE) }, none;
static char text[64];

/* Formats are constants here so that the compiler checks them against their arguments. */
#define CHECK_FORMAT(id, expected, ...)                                                            \
	do {                                                                                       \
		int length_ = snprintf(text, sizeof(text), __VA_ARGS__);                           \
                                                                                                   \
		report_text(__FILE__, __LINE__, strcmp(text, expected) == 0, "\"" expected "\"",   \
			    text, id);                                                             \
		check_equal(length_, strlen(expected), id ".length");                              \
	} while (0)

static void test_printf(void)
{
	/* In a variable: clang takes a constant format with wider arguments for a mistake. */
	const char *narrow = "%hhd %hhu %hu";

	CHECK_FORMAT("plain", "100%", "100%%");
	CHECK_FORMAT("char", "a-b", "%c-%c", 'a', 'b');
	CHECK_FORMAT("string", "[one][two  ][  two][tw]", "[%s][%-5s][%5s][%.2s]", "one", "two",
		     "two", "two");
	CHECK_FORMAT("decimal", "-5 5 +5  5 -2147483648", "%d %i %+d % d %d", -5, 5, 5, 5,
		     (int)-2147483648ll);
	CHECK_FORMAT("unsigned", "4294967295", "%u", -1);
	CHECK_FORMAT("width", "[   7][7   ][0007][ 007]", "[%4d][%-4d][%04d][%4.3d]", 7, 7, 7, 7);
	CHECK_FORMAT("star", "[   7][007]", "[%*d][%.*d]", 4, 7, 3, 7);
	CHECK_FORMAT("hex", "ff FF 0xff 0XFF 0 00ff", "%x %X %#x %#X %#x %04x", 255, 255, 255, 255,
		     0, 255);
	CHECK_FORMAT("octal", "17 017", "%o %#o", 15, 15);
	CHECK_FORMAT("byte-and-short", "-1 255 65535", narrow, 0xff, 0x1ff, 0x1ffff);
	CHECK_FORMAT("long-long", "18446744073709551615 -1 123456789abcdef0", "%llu %lld %llx",
		     ~0ull, -1ll, 0x123456789abcdef0ull);
	CHECK_FORMAT("long", "-3 fedc", "%ld %lx", -3l, 0xfedcl);
	CHECK_FORMAT("size", "3 -3", "%zu %td", sizeof("ab"), (ptrdiff_t)-3);
	CHECK_FORMAT("pointer", "0x1234", "%p", (void *)0x1234);
	CHECK_FORMAT("fault", "#GP(0x18) #UD #DE no fault", "%pe %pe %pe %pe", &gp, &ud, &de,
		     &none);

	check_equal(snprintf(text, 4, "%s", "longer"), 6, "cut.length");
	check_equal(strcmp(text, "lon"), 0, "cut.text");
	strlcpy(text, "untouched", sizeof(text));
	check_equal(snprintf(text, 0, "%d", 12345), 5, "size-0.length");
	check_equal(strcmp(text, "untouched"), 0, "size-0.text");
}

SUBTEST("printf", test_printf);

static void test_memory_functions(void)
{
	char a[16] = "0123456789abcde", b[16];

	memset(b, 'x', sizeof(b));
	memcpy(b + 1, a, 4);
	check(b[0] == 'x' && b[1] == '0' && b[4] == '3' && b[5] == 'x', "memcpy");
	memmove(a + 2, a, 8);
	check_equal(strcmp(a, "0101234567abcde"), 0, "memmove.up");
	memmove(a, a + 2, 8);
	check_equal(strcmp(a, "0123456767abcde"), 0, "memmove.down");
	check(memcmp("abc", "abd", 3) < 0 && memcmp("abd", "abc", 3) > 0, "memcmp.order");
	check(memcmp("\xff", "\x01", 1) > 0, "memcmp.unsigned");
	check_equal(memcmp("abc", "abd", 2), 0, "memcmp.size");
	check(memchr(a, '7', 4) == NULL && memchr(a, '3', 4) == a + 3, "memchr");
}

static void test_string_functions(void)
{
	char b[4], *end;

	check_equal(strlen(""), 0, "strlen.empty");
	check_equal(strnlen("abc", 2), 2, "strnlen");
	check(strcmp("a", "b") < 0 && strcmp("b", "a") > 0 && strcmp("a", "ab") < 0, "strcmp");
	check_equal(strncmp("abc", "abd", 2), 0, "strncmp");
	check(*strchr("abc", 'c') == 'c' && !strchr("abc", 'd'), "strchr");
	check(strstr("one two", "two") && !strstr("one two", "three"), "strstr");
	check_equal(strlcpy(b, "12345", sizeof(b)), 5, "strlcpy.length");
	check_equal(strcmp(b, "123"), 0, "strlcpy.text");
	check_equal(strtoull("123,", &end, 10), 123, "strtoull.decimal");
	check_equal(*end, ',', "strtoull.end");
	check_equal(strtoull("0xffffffffffffffff", NULL, 0), ~0ull, "strtoull.prefix");
	check_equal(strtoull("ff", NULL, 16), 255, "strtoull.hex");
}

static void test_string(void)
{
	test_memory_functions();
	test_string_functions();
}

SUBTEST("string", test_string);

/* This stanza's own arguments: unittests.cfg, [selftest]. */
static void test_args(void)
{
	const char *value = args_value("word");

	check_equal(args.argc, 2, "count");
	check(value && strcmp(value, "value") == 0, "value");
	check(args.argc == 2 && strcmp(args.argv[1], "last") == 0, "plain");
	check(!args_value("last") && !args_value("wor"), "absent");
	check(args.nonce != 0, "nonce");
	check(args_list_has("0-3,7", 0) && args_list_has("0-3,7", 3) && args_list_has("0-3,7", 7),
	      "list.in");
	check(!args_list_has("0-3,7", 4) && !args_list_has("0-3,7", 8) &&
		      !args_list_has("", 8),
	      "list.out");
	check(args_list_has(NULL, 12345), "list.all");
}

SUBTEST("args", test_args);
