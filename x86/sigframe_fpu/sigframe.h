/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The floating-point part of a signal frame as Linux lays it out for a 32-bit process, the
 * kernel's conversions, and what the files of this folder share.
 */
#ifndef SIGFRAME_H
#define SIGFRAME_H

#include "fpu.h"
#include "fpu_state.h"
#include "report.h"
#include "types.h"

#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u
#define FPSTATE_LEGACY	 0xffffu /* magic: nothing follows the header */
#define FPSTATE_FXSR	 0x0000u

/* The header: FSAVE's image, and what 32-bit Linux puts behind it; 112 bytes. */
struct fpstate_header {
	struct fsave_area fsave;
	u16 status, magic;
} __packed;

/* What Linux writes to the bytes of the FXSAVE image that are software's. */
struct software_bytes {
	u32 magic1;
	u32 extended_size; /* header, area and magic2 */
	u64 features;
	u32 xstate_size; /* of the area */
	u32 padding[7];
} __packed;

/* The area starts at a multiple of 64; the header ends there. */
struct signal_frame {
	u8 unused[16];
	struct fpstate_header header;
	union {
		struct xsave_area area;
		u8 bytes[XSAVE_MAX_SIZE + sizeof(u32)];
	};
} __aligned(64);

static inline struct software_bytes *frame_software(struct signal_frame *frame)
{
	return (struct software_bytes *)frame->area.legacy.software;
}

/* The tag that FNSAVE gives to a register that is not empty. SDM volume 1, "x87 FPU Tag Word". */
enum fpu_tag tag_of(const struct fpu_register *value);

/* The full tag word of an FXSAVE image. SDM volume 2A, FXSAVE, "Recreating FSAVE format". */
u16 tag_word(const struct fxsave_area *fx);

/* The kernel's conversions between the header and the image that follows it. */
void header_from_image(struct fpstate_header *header, const struct fxsave_area *fx);
void image_from_header(struct fxsave_area *fx, const struct fpstate_header *header);

/*
 * Builds a frame from the registers with one of the savers FNSAVE, FXSAVE, XSAVE, XSAVEC or
 * XSAVES (the last two save to a buffer of the kernel's, which is then copied to the frame
 * in the standard format). Returns the saver's fault.
 */
struct fault frame_save(struct signal_frame *frame, enum fpu_instruction saver);

/*
 * Loads the registers from a frame with one of FRSTOR, FXRSTOR, XRSTOR or XRSTORS. The
 * header wins over the image, as in the kernel. *valid, if not NULL, tells whether the frame
 * had an extended image that is complete.
 */
struct fault frame_restore(const struct signal_frame *frame, enum fpu_instruction restorer,
			   bool *valid);

/* The components that an instruction saves and restores, of those that the CPU has enabled. */
u64 components_of(enum fpu_instruction instruction);

/* XSAVE's image in the compacted format and back; components: those that are to be there. */
void image_compact(struct xsave_area *to, const struct xsave_area *from, u64 components);
void image_expand(struct xsave_area *to, const struct xsave_area *from);

/* Which restorer reads which format. */
struct form {
	const char *name;
	enum fpu_instruction restorer;
	bool compacted;
	u64 feature;
};

extern const struct form forms[3]; /* xrstor, xrstor-compacted, xrstors */

/*
 * All registers that the test looks at, to and from memory: x87 and SSE by FXRSTOR and
 * FXSAVE, or with wide everything by the library's choice. An emulator may have only the first.
 */
struct fault state_load(const struct xsave_area *area, bool wide);
struct fault state_save(struct xsave_area *area, bool wide);

/*
 * A buffer of XSAVE_MAX_SIZE bytes, of the calling CPU; n less than STATE_BUFFERS.
 * frame_save() and frame_restore() use FRAME_BUFFER and the one before.
 */
#define STATE_BUFFERS 5
#define FRAME_BUFFER  3
struct xsave_area *state_buffer(unsigned int n);

/* Checks that registers are the same in both areas; the failure names the first that is not. */
#define check_state(got, expected, components, ...)                                                \
	do {                                                                                       \
		struct fpu_difference difference_ = { .name = "" };                                \
		bool equal_ = fpu_state_equal(got, expected, components, &difference_);            \
		char text_[2][48];                                                                 \
                                                                                                   \
		describe_difference(&difference_, text_);                                          \
		report_text(__FILE__, __LINE__, equal_, text_[0], text_[1], __VA_ARGS__);          \
	} while (0)

/* text[0]: what was expected, text[1]: what was there. */
void describe_difference(const struct fpu_difference *difference, char text[2][48]);

/*
 * Every subtest's start: fpu_enable(), or the subtest is skipped on a CPU without FXSAVE or
 * SSE, and false. needs() is the same for one instruction.
 */
bool fpu_ready(void);
bool needs(enum fpu_instruction instruction);

#endif
