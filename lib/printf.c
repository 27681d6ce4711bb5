// SPDX-License-Identifier: BSD-2-Clause
#include "console.h"
#include "fault.h"
#include "printf.h"
#include "string.h"

struct output {
	char *buffer;
	size_t size, length;
};

struct conversion {
	bool left, zero, plus, space, alternate, upper;
	int width, precision; /* -1: none given */
};

static void put(struct output *out, char c)
{
	if (out->length < out->size)
		out->buffer[out->length] = c;
	out->length++;
}

static void put_repeated(struct output *out, char c, int count)
{
	while (count-- > 0)
		put(out, c);
}

static void put_text(struct output *out, const struct conversion *conv, const char *s, int length)
{
	if (!conv->left)
		put_repeated(out, ' ', conv->width - length);
	for (int i = 0; i < length; i++)
		put(out, s[i]);
	if (conv->left)
		put_repeated(out, ' ', conv->width - length);
}

static void put_string(struct output *out, const struct conversion *conv, const char *s)
{
	if (!s)
		s = "(null)";
	put_text(out, conv, s, conv->precision >= 0 ? strnlen(s, conv->precision) : strlen(s));
}

static void put_number(struct output *out, const struct conversion *conv, u64 value,
		       unsigned int base, char sign)
{
	const char *digits = conv->upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[24], prefix[3] = { 0 };
	int length = 0, zeros, total, n = 0;
	bool nonzero = value != 0;

	if (sign)
		prefix[n++] = sign;
	if (base == 16 && conv->alternate && nonzero) {
		prefix[n++] = '0';
		prefix[n++] = conv->upper ? 'X' : 'x';
	}
	for (; value; value /= base)
		text[length++] = digits[value % base];
	if (!length && conv->precision != 0)
		text[length++] = '0';
	if (base == 8 && conv->alternate && (!length || text[length - 1] != '0'))
		text[length++] = '0';

	zeros = conv->precision - length;
	if (conv->precision < 0 && conv->zero && !conv->left)
		zeros = conv->width - length - n;
	zeros = MAX(zeros, 0);
	total = length + zeros + n;

	if (!conv->left)
		put_repeated(out, ' ', conv->width - total);
	for (int i = 0; i < n; i++)
		put(out, prefix[i]);
	put_repeated(out, '0', zeros);
	while (length)
		put(out, text[--length]);
	if (conv->left)
		put_repeated(out, ' ', conv->width - total);
}

static const char *parse_flags(const char *fmt, struct conversion *conv)
{
	for (;; fmt++) {
		if (*fmt == '-')
			conv->left = true;
		else if (*fmt == '0')
			conv->zero = true;
		else if (*fmt == '+')
			conv->plus = true;
		else if (*fmt == ' ')
			conv->space = true;
		else if (*fmt == '#')
			conv->alternate = true;
		else
			return fmt;
	}
}

static const char *parse_int(const char *fmt, int *value)
{
	for (*value = 0; *fmt >= '0' && *fmt <= '9'; fmt++)
		*value = *value * 10 + (*fmt - '0');
	return fmt;
}

/* The size of the integer argument in bytes. */
static const char *parse_size(const char *fmt, unsigned int *size)
{
	*size = sizeof(int);
	switch (*fmt) {
	case 'h':
		*size = fmt[1] == 'h' ? 1 : 2;
		return fmt + (fmt[1] == 'h' ? 2 : 1);
	case 'l':
		*size = fmt[1] == 'l' ? 8 : sizeof(long);
		return fmt + (fmt[1] == 'l' ? 2 : 1);
	case 'z':
	case 't':
		*size = sizeof(size_t);
		return fmt + 1;
	case 'j':
		*size = 8;
		return fmt + 1;
	}
	return fmt;
}

static u64 truncate_unsigned(u64 value, unsigned int size)
{
	return size == 8 ? value : value & (BIT_ULL(size * 8) - 1);
}

static s64 truncate_signed(u64 value, unsigned int size)
{
	unsigned int shift = 64 - size * 8;

	return (s64)(value << shift) >> shift;
}

int vsnprintf(char *buffer, size_t size, const char *fmt, va_list args)
{
	struct output out = { .buffer = buffer, .size = size };

	for (; *fmt; fmt++) {
		struct conversion conv = { .precision = -1 };
		unsigned int int_size;
		char text[32], sign = 0;
		u64 value = 0;
		s64 number;

		if (*fmt != '%') {
			put(&out, *fmt);
			continue;
		}
		fmt = parse_flags(fmt + 1, &conv);
		if (*fmt == '*') {
			conv.width = va_arg(args, int);
			if (conv.width < 0) {
				conv.left = true;
				conv.width = -conv.width;
			}
			fmt++;
		} else {
			fmt = parse_int(fmt, &conv.width);
		}
		if (*fmt == '.') {
			if (fmt[1] == '*') {
				conv.precision = va_arg(args, int);
				fmt += 2;
			} else {
				fmt = parse_int(fmt + 1, &conv.precision);
			}
		}
		fmt = parse_size(fmt, &int_size);

		if (*fmt && strchr("diuxXo", *fmt))
			value = int_size == 8 ? va_arg(args, u64) : va_arg(args, u32);
		conv.upper = *fmt == 'X';
		switch (*fmt) {
		case 'd':
		case 'i':
			number = truncate_signed(value, int_size);
			sign = number < 0 ? '-' : conv.plus ? '+' : conv.space ? ' ' : 0;
			put_number(&out, &conv, number < 0 ? -(u64)number : (u64)number, 10, sign);
			break;
		case 'u':
			put_number(&out, &conv, truncate_unsigned(value, int_size), 10, 0);
			break;
		case 'x':
		case 'X':
			put_number(&out, &conv, truncate_unsigned(value, int_size), 16, 0);
			break;
		case 'o':
			put_number(&out, &conv, truncate_unsigned(value, int_size), 8, 0);
			break;
		case 'c':
			text[0] = va_arg(args, int);
			put_text(&out, &conv, text, 1);
			break;
		case 's':
			put_string(&out, &conv, va_arg(args, const char *));
			break;
		case 'p':
			if (fmt[1] == 'e') {
				fmt++;
				fault_format(text, sizeof(text),
					     *va_arg(args, const struct fault *));
				put_string(&out, &conv, text);
				break;
			}
			value = (ulong)va_arg(args, void *);
			conv.alternate = true;
			put_number(&out, &conv, value, 16, 0);
			break;
		case '%':
			put(&out, '%');
			break;
		case '\0':
			fmt--;
			break;
		default: /* shown, so that the mistake is seen */
			put(&out, '%');
			put(&out, *fmt);
		}
	}
	if (size)
		buffer[MIN(out.length, size - 1)] = '\0';
	return out.length;
}

int snprintf(char *buffer, size_t size, const char *fmt, ...)
{
	va_list args;
	int length;

	va_start(args, fmt);
	length = vsnprintf(buffer, size, fmt, args);
	va_end(args);
	return length;
}

int vprintf(const char *fmt, va_list args)
{
	char line[512];
	int length = vsnprintf(line, sizeof(line), fmt, args);

	console_write(line, MIN((size_t)length, sizeof(line) - 1));
	return length;
}

int printf(const char *fmt, ...)
{
	va_list args;
	int length;

	va_start(args, fmt);
	length = vprintf(fmt, args);
	va_end(args);
	return length;
}
