# SPDX-License-Identifier: BSD-2-Clause
#
# Builds every image that unittests.cfg names, in each of its modes, under
# build/: build/MODE/TEST.rom, .elf and .info (docs/result-stream.md).
#
#	make			the images
#	make V=1		the same, and shows the commands
#	make guests		images of the runner's own tests (tests/guests/)
#	make unit		the unit tests of lib/, as programs for the build host
#	make setup		installs the packages that are missing (as root)
#	make check		lint, unit tests, tests of the runner, the suite on every machine
#	make docs		the tests' pages in docs/tests/
#	make bench		what starting a test costs, as ratios
#	make install		the runner and the images, as the command trapline
#	make clean
#
# Settings come from config.mk, which configure writes; see ./configure --help.

-include config.mk

srcdir	?= .
CC	?= gcc
LD	?= ld
AR	?= ar
OBJCOPY	?= objcopy

ifeq ($(origin CC),default)
CC	:= gcc
endif
ifeq ($(origin AR),default)
AR	:= ar
endif
ifeq ($(origin LD),default)
LD	:= ld
endif

MODES	:= x86_64 pae i386
B	:= build

# Large enough for every test; a multiple of 64 KiB, 2 MiB at most.
ROM_SIZE ?= 0x40000

Q	:= $(if $(V),,@)
say	= $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

# The rules are all here: looking through those that make knows costs more than the rest.
MAKEFLAGS += -rR
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.PHONY: all guests unit setup check install bench docs clean

all:

# What to build is written in the cfg files, so that a new test is one C file
# and one stanza: words like x86_64/hello, one for each mode of each file.
images_of = $(shell awk -f $(srcdir)/scripts/images.awk $(1))

SUITE	:= $(call images_of,$(srcdir)/unittests.cfg)
# The guests of the runner's tests, if they are asked for: reading about them takes time.
GUESTS	:= $(if $(filter guests,$(MAKECMDGOALS)),$(call images_of,$(wildcard $(srcdir)/tests/guests/unittests.cfg)))

# What changes how everything is built.
SETTINGS := $(srcdir)/Makefile $(wildcard config.mk)

all: $(foreach suffix,rom elf,$(SUITE:%=$(B)/%.$(suffix))) $(B)/depends.done
guests: $(foreach suffix,rom elf,$(GUESTS:%=$(B)/%.$(suffix)))

CFLAGS	?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) -ffreestanding -fno-pic -fno-stack-protector \
	-fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-strict-aliasing \
	-fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections \
	-mgeneral-regs-only -mno-red-zone -fcf-protection=none \
	-Wall -Wextra -Wstrict-prototypes -Wmissing-declarations -Wno-unused-parameter \
	$(WERROR) -I$(srcdir)/lib -I$(srcdir)/lib/x86 \
	-ffile-prefix-map=$(srcdir)/= -MMD -MP

FLAGS_x86_64	:= -m64 -DMODE_X86_64 -DMODE_NAME='"x86_64"'
FLAGS_pae	:= -m32 -march=i686 -DMODE_PAE -DMODE_NAME='"pae"'
FLAGS_i386	:= -m32 -march=i686 -DMODE_I386 -DMODE_NAME='"i386"'
LD_x86_64	:= -m elf_x86_64
LD_pae		:= -m elf_i386
LD_i386		:= -m elf_i386

LIB_SOURCES	:= $(patsubst $(srcdir)/%,%,$(wildcard $(addprefix $(srcdir)/lib/,*.c x86/*.[cS] \
			x86/l2/*.[cS] x86/svm/*.[cS] x86/vmx/*.[cS])))
# The linker script is not an object, and rom.S and start.S are linked by name.
LIB_SOURCES	:= $(filter-out %.lds.S %/rom.S %/start.S,$(LIB_SOURCES))

# An image is MODE/TEST. A test is one file or a folder of files, in x86/ (a TEST like
# svm/state in a folder of its own there) or in the runner's tests/guests/.
mode_of		= $(firstword $(subst /, ,$(1)))
test_of		= $(patsubst $(call mode_of,$(1))/%,%,$(1))
test_sources	= $(SOURCES_$(1))
objects		= $(addsuffix .o,$(addprefix $(B)/$(1)/,$(basename $(2))))

# Each is looked for once, however often it is asked for.
define find_sources
SOURCES_$(1) := $(patsubst $(srcdir)/%,%,$(wildcard $(srcdir)/x86/$(1).c $(srcdir)/x86/$(1)/*.[cS] \
			$(srcdir)/tests/guests/$(1).c))
endef
$(foreach test,$(sort $(foreach image,$(SUITE) $(GUESTS),$(call test_of,$(image)))),\
	$(eval $(call find_sources,$(test))))

# A file that is gone must leave the images too, as when bisecting: what is linked
# depends on the list of all sources, which is rewritten when it has changed.
ALL_SOURCES := $(sort $(LIB_SOURCES) $(foreach image,$(SUITE),$(call test_sources,$(call test_of,$(image)))))
ifneq ($(ALL_SOURCES),$(file <$(B)/sources))
$(shell mkdir -p $(B))
$(file >$(B)/sources,$(ALL_SOURCES))
endif

# $(1): mode
define mode_rules
$(B)/$(1)/lib.a: $(call objects,$(1),$(LIB_SOURCES)) $(B)/sources
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) qcs $$@ $$(filter %.o,$$^)

$(B)/$(1)/image.lds: $(srcdir)/lib/x86/image.lds.S $$(SETTINGS) | $(B)/$(1)/lib/x86/
	$$(Q)$$(CC) $$(FLAGS_$(1)) -DROM_SIZE=$$(ROM_SIZE) -E -P -x assembler-with-cpp $$< -o $$@

$(B)/$(1)/%.o: $(srcdir)/%.c $$(SETTINGS) | dirs
	$$(call say,CC,$$@)
	$$(if $$(findstring /tests/guests/,$$@),,$$(Q)rm -f $(B)/depends)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(FLAGS_$(1)) -DTEST_NAME='"$$(TEST_NAME)"' -c -o $$@ $$<

$(B)/$(1)/%.o: $(srcdir)/%.S $$(SETTINGS) | dirs
	$$(call say,AS,$$@)
	$$(if $$(findstring /tests/guests/,$$@),,$$(Q)rm -f $(B)/depends)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(FLAGS_$(1)) -c -o $$@ $$<
endef
$(foreach mode,$(MODES),$(eval $(call mode_rules,$(mode))))

# $(1): mode, $(2): test
define image_rules
$(call objects,$(1),$(call test_sources,$(2))): TEST_NAME := $(2)
$(B)/$(1)/$(2).elf: $(call objects,$(1),lib/x86/start.S lib/x86/rom.S $(call test_sources,$(2))) \
		$(B)/$(1)/lib.a $(B)/$(1)/image.lds $(B)/sources $(SETTINGS)
	$$(call say,LD,$$@)
	$$(if $(call test_sources,$(2)),,@echo 'unittests.cfg: no source x86/$(2).c' >&2; exit 1)
	$$(Q)$$(LD) $(LD_$(1)) -nostdlib -static --gc-sections -z max-page-size=64 \
		-z noexecstack --no-warn-rwx-segments -T $(B)/$(1)/image.lds -o $$@ $$(filter %.o %.a,$$^)
OBJECTS += $(call objects,$(1),$(call test_sources,$(2)))
endef
$(foreach image,$(sort $(SUITE) $(GUESTS)),\
	$(eval $(call image_rules,$(call mode_of,$(image)),$(call test_of,$(image)))))

# The .info file comes first: whoever sees a new .rom has its declaration.
$(B)/%.rom: $(B)/%.elf
	$(call say,ROM,$@)
	$(Q)$(OBJCOPY) -O binary --set-section-flags .trapline=alloc,readonly -j .trapline $< $@.info
	$(Q)tr '\0' '\n' <$@.info >$(B)/$*.info && rm -f $@.info
	$(Q)$(OBJCOPY) -O binary -R .bss -R .trapline --gap-fill 0xff $< $@

LIB_OBJECTS := $(foreach mode,$(MODES),$(call objects,$(mode),$(LIB_SOURCES) lib/x86/start.S lib/x86/rom.S))
OBJECTS += $(LIB_OBJECTS)
DIRS	:= $(sort $(dir $(OBJECTS) $(SUITE:%=$(B)/%) $(GUESTS:%=$(B)/%)))
dirs: | $(DIRS)
.PHONY: dirs
$(sort $(DIRS) $(foreach mode,$(MODES),$(B)/$(mode)/lib/x86/)):
	$(Q)mkdir -p $@

# The unit tests of lib/ run on the build host. Every symbol of the objects under
# test gets "guest_" put in front, so that they can stand beside the host's C library.
UNIT_TESTS := $(basename $(notdir $(filter-out %/tap.c,$(wildcard $(srcdir)/tests/unit/*.c))))
UNIT_LIB   := lib/args.c lib/fault.c lib/id_set.c lib/printf.c lib/string.c lib/x86/descriptor.c
UNIT_FLAGS := -std=gnu11 -O2 -g -fno-pie -ffunction-sections -Wall -Wextra \
	-fsanitize=undefined -fsanitize-undefined-trap-on-error $(WERROR) -MMD -MP

unit: $(UNIT_TESTS:%=$(B)/unit/%)
$(B)/unit/%: $(B)/unit/%.o $(B)/unit/tap.o $(B)/unit/guest.o
	$(call say,LD,$@)
	$(Q)$(CC) -no-pie -Wl,--gc-sections -o $@ $^
$(B)/unit/guest.o: $(UNIT_LIB:%.c=$(B)/unit/%.o)
	$(Q)$(LD) -r -o $@ $^ && $(OBJCOPY) --prefix-symbols=guest_ $@
$(B)/unit/lib/%.o: $(srcdir)/lib/%.c $(SETTINGS) | $(B)/unit/lib/x86/
	$(call say,CC,$@)
	$(Q)$(CC) $(UNIT_FLAGS) -ffreestanding -fno-stack-protector -I$(srcdir)/lib \
		-I$(srcdir)/lib/x86 -Wno-unused-parameter -c -o $@ $<
$(B)/unit/%.o: $(srcdir)/tests/unit/%.c $(SETTINGS) | $(B)/unit/lib/x86/
	$(call say,CC,$@)
	$(Q)$(CC) $(UNIT_FLAGS) -iquote $(srcdir) -iquote $(srcdir)/lib \
		-iquote $(srcdir)/lib/x86 -c -o $@ $<
$(B)/unit/lib/x86/:
	$(Q)mkdir -p $@

# Packages are installed by setup alone; "make setup check" does so first.
setup:
	$(Q)$(srcdir)/scripts/setup.sh
	$(Q)test -f config.mk || $(srcdir)/configure
check: | $(filter setup,$(MAKECMDGOALS))
	$(Q)MAKE='$(MAKE)' $(srcdir)/scripts/check.sh

# docs/tests/: a page for each test, from its source and its declaration.
docs: all
	$(Q)$(srcdir)/scripts/docs.sh generate

# Not a test: what starting a test costs.
bench: all
	$(Q)$(srcdir)/scripts/bench.sh

# The runner and the images, for machines without a compiler.
prefix	?= /usr/local
SHARE	= $(DESTDIR)$(prefix)/share/trapline
install: all
	$(Q)mkdir -p $(DESTDIR)$(prefix)/bin $(sort $(dir $(SUITE:%=$(SHARE)/build/%)))
	$(Q)cd $(srcdir) && cp -r run_tests.sh scripts known unittests.cfg $(SHARE)
	$(Q)for image in $(SUITE); do \
		cp $(B)/$$image.rom $(B)/$$image.elf $(B)/$$image.info $(SHARE)/build/$${image%/*} || exit; \
	done
	$(Q)printf '#!/bin/sh\nBUILD_DIR=$${BUILD_DIR:-%s} exec %s "$$@"\n' $(prefix)/share/trapline/build \
		$(prefix)/share/trapline/run_tests.sh >$(DESTDIR)$(prefix)/bin/trapline
	$(Q)chmod 755 $(DESTDIR)$(prefix)/bin/trapline

clean:
	$(Q)rm -rf $(B)

# What the objects of the suite depend on, in one file: reading a thousand takes three times as
# long. It is gone from the first object of a build on until the last, so that after a build
# that was cut off each object's own file counts.
SUITE_OBJECTS := $(sort $(foreach image,$(SUITE),$(call objects,$(call mode_of,$(image)),$(call \
			test_sources,$(call test_of,$(image))))) $(LIB_OBJECTS))
$(B)/depends.done: $(SUITE_OBJECTS)
	$(Q)cat $(SUITE_OBJECTS:.o=.d) | awk '!/:$$/ || !seen[$$0]++' >$@
	$(Q)cp $@ $(B)/depends
ifeq ($(wildcard $(B)/depends),)
-include $(SUITE_OBJECTS:.o=.d)
else
include $(B)/depends
endif
-include $(filter-out $(SUITE_OBJECTS:.o=.d),$(OBJECTS:.o=.d))
-include $(wildcard $(B)/unit/*.d $(B)/unit/lib/*.d $(B)/unit/lib/x86/*.d)
