# ngx_travel: the front door.
#
#   make            build everything        make run      a whole travel backend, ^C ends it
#   make test       prove -r t              make up|down|status|reset   the same in the background
#   make check      clang, ASan+UBSan, fuzz make reload        migrations, conf/, conf/travel anew
#   make install    DESTDIR= PREFIX=        make bench|soak|fuzz        measure, endure, surprise
#   make images     containers, tried       make model         the queue's protocol, in all its states
#   make clean                              make deps          what is missing, by apt and npm
#
# CC=clang changes the compiler, SAN=address,undefined adds sanitizers (into
# build/asan), BUILD=dir moves the outputs, PORT=n moves the running instance,
# V=1 shows every command.

# make, nginx's configure and half of the configuration files would break.
ifneq (1,$(words $(CURDIR)))
$(error a path with a space does not build: move the checkout from "$(CURDIR)")
endif

SHELL      := /bin/bash
SAN        ?=
BUILD      ?= $(if $(SAN),build/asan,build)
PORT       ?= 8080
PREFIX     ?= /usr/local
NGX_DIST   ?= /usr/share/nginx/src
NGX_MODDIR ?= /usr/lib/nginx/modules
T          ?=
V          ?=
Q          := $(if $(V),,@)
export PORT

# nginx lives where a plain user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin

# As many jobs as there are cores, unless the caller says or a make is above.
ifeq (0,$(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)))
MAKEFLAGS  += -j$(shell nproc)
endif

ROOT     := $(CURDIR)
BUILDDIR := $(abspath $(BUILD))
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
PKGS     := hiredis libpq jansson libcurl libnghttp2 libidn2 libconfuse openssl \
            rdkafka libargon2

# Asked once, not for every file; nothing: one of them is not installed.
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CPPFLAGS   += -D_GNU_SOURCE -I. -Icommon -Iworkers $(PKG_CFLAGS)
CFLAGS   ?= -O2 -g
# Sanitizers lead gcc to warnings that are not so; the plain builds are strict.
WERROR     := $(if $(SAN),-Wno-error,-Werror)
ALL_CFLAGS  = $(CPPFLAGS) -std=c11 -fPIC -pthread -Wall -Wextra $(WERROR) \
              $(SANFLAGS) $(CFLAGS)
LIBS     := -Wl,--as-needed $(shell pkg-config --libs $(PKGS) 2>/dev/null) \
            -lcrypt -lz -lm -pthread
# A batch of jobs is some thousand small pieces of memory at once, by many
# threads; a sanitizer brings an allocator of its own.
MALLOC   := $(if $(SAN),,$(shell pkg-config --libs jemalloc 2>/dev/null))

LIB_SRC    := $(wildcard common/*.c common/*/*.c)
WORKERS    := $(wildcard workers/*/*.c)
WORKER_SRC := $(filter-out workers/ctl/%,$(WORKERS))
CTL_SRC    := $(filter workers/ctl/%,$(WORKERS))
POOL_SRC   := $(filter-out workers/pool/main.c workers/ctl/main.c,$(WORKERS))
UNIT_SRC   := $(wildcard t/00-unit/*.c)
FUZZ_SRC   := $(wildcard t/fuzz/*.c)
EDGE_SRC   := $(wildcard ngx_travel_module/*/*.c ngx_travel_module/*/*.h \
                common/*.c common/*.h common/*.def common/*/*.c common/*/*.h)

objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIB    := $(BUILD)/libtravel.a
POOL   := $(BUILD)/libworker.a
MODULE := $(if $(wildcard config),$(BUILD)/ngx_http_travel_module.so)
WORKER := $(if $(wildcard workers/pool/main.c),$(BUILD)/travel-worker)
CTL    := $(if $(wildcard workers/ctl/main.c),$(BUILD)/travelctl)
UNIT   := $(patsubst t/00-unit/%.c,$(BUILD)/t-unit/%,$(UNIT_SRC))

.PHONY: all lib unit run up down status reload reset test check bench soak fuzz model \
        fuzz-build clang asan install clean deps help images
.SECONDARY:

# The first error of many says what to do, and comes before any compiler's.
ifeq (,$(PKG_CFLAGS)$(filter-out all lib unit install clang asan,\
        $(or $(MAKECMDGOALS),all)))
$(error not installed: $(shell for p in $(PKGS); do pkg-config --exists $$p \
    2>/dev/null || echo $$p; done): "make deps" installs what is missing)
endif

all: lib $(WORKER) $(CTL) $(MODULE) unit
lib: $(LIB)
unit: $(UNIT) $(if $(wildcard t/lib/kafka-mock.c),$(BUILD)/kafka-mock)

# --- C: the library, the workers, the command line, unit tests ---------------

# What an object depends on holds however BUILD is spelled.
DEPFLAGS = -MMD -MP -MT \$$\(BUILD\)/obj/$*.o

# Changing compiler or flags in the same directory rebuilds everything.
STAMP := $(BUILD)/flags
NOW   := $(CC) $(ALL_CFLAGS) $(DEPFLAGS)
$(shell mkdir -p $(BUILD); [ "$$(cat $(STAMP) 2>/dev/null)" = '$(NOW)' ] \
    || echo '$(NOW)' > $(STAMP))

$(BUILD)/obj/%.o: %.c $(STAMP)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(LIB): $(call objs,$(LIB_SRC))
	@rm -f $@
	$(Q)ar rcs $@ $^

$(POOL): $(call objs,$(POOL_SRC))
	@rm -f $@
	$(Q)ar rcs $@ $^

# Linked aside and moved into place, so that what runs is never half a file.
link = $(if $(V),,@echo "  LINK  $@";) $(CC) $(SANFLAGS) $(LDFLAGS) -rdynamic -o $@.new $^ $(LIBS) $(1) \
       && mv $@.new $@

$(BUILD)/travel-worker: LIBS := $(MALLOC) $(LIBS)
$(BUILD)/travel-worker: $(call objs,$(WORKER_SRC)) $(LIB)
	$(call link)

$(BUILD)/travelctl: $(call objs,$(CTL_SRC)) $(POOL) $(LIB)
	$(call link)

# Ceilings that bench measures against.
$(BUILD)/bench/%: $(BUILD)/obj/scripts/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(call link)

$(BUILD)/t-unit/%: $(BUILD)/obj/t/00-unit/%.o $(POOL) $(LIB)
	@mkdir -p $(@D)
	$(call link,-lcmocka)

# Outside parties of tests that are ours.
$(BUILD)/kafka-mock: $(BUILD)/obj/t/lib/kafka-mock.o
	$(call link)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# --- the nginx module, against the installed nginx's sources -----------------

NGX_SRC := $(BUILD)/nginx-src
NGX_CC  := -O2 -Wall -Wextra -Wno-unused-parameter $(WERROR:-Werror=) \
           $(SANFLAGS)

# config finds sources by wildcard: a file added or gone means configuring anew.
EDGE_STAMP := $(BUILD)/edge-sources
$(shell [ "$$(cat $(EDGE_STAMP) 2>/dev/null)" = '$(sort $(filter %.c,$(EDGE_SRC)))' ] \
    || echo '$(sort $(filter %.c,$(EDGE_SRC)))' > $(EDGE_STAMP))

$(NGX_SRC)/objs/Makefile: config $(NGX_DIST)/conf_flags $(STAMP) $(EDGE_STAMP)
	@rm -rf $(NGX_SRC) && mkdir -p $(NGX_SRC)
	$(Q)cp -rL $(NGX_DIST)/. $(NGX_SRC)
	$(Q)cd $(NGX_SRC) && source ./conf_flags && export ASAN_OPTIONS=detect_leaks=0 \
	    && ./configure "$${NGX_CONF_FLAGS[@]}" --with-cc="$(CC)" \
	        --with-cc-opt="$(NGX_CC)" --with-ld-opt="$(SANFLAGS)" \
	        --add-dynamic-module=$(ROOT) >configure.log 2>&1 \
	    || { tail -20 configure.log; rm -f objs/Makefile; exit 1; }

# nginx's makefile knows the headers that config lists; we do not trust lists.
$(BUILD)/ngx_http_travel_module.so: $(NGX_SRC)/objs/Makefile $(EDGE_SRC)
	$(if $(filter %.h %.def,$?),@find $(NGX_SRC)/objs/addon -name '*.o' -delete)
	@echo "  NGX   $@"
	+$(Q)$(MAKE) --no-print-directory -C $(NGX_SRC) -f objs/Makefile modules \
	    $(if $(V),,> $(NGX_SRC)/make.log || { cat $(NGX_SRC)/make.log; exit 1; })
	@! nm -D --undefined-only $(NGX_SRC)/objs/ngx_http_travel_module.so \
	    | grep ' U ngx_http_travel_' || { echo "edge: used, never defined"; exit 1; }
	$(Q)cp $(NGX_SRC)/objs/ngx_http_travel_module.so $@.new && mv $@.new $@

help:
	@sed -n '2,12s/^# \{0,1\}//p' Makefile

# --- running -----------------------------------------------------------------

deps:
	@scripts/install.sh

run: deps
	@$(MAKE) --no-print-directory all
	@scripts/run.sh foreground

up: deps
	@$(MAKE) --no-print-directory all
	@scripts/run.sh up

down status reload reset:
	@scripts/run.sh $@

# --- proving -----------------------------------------------------------------

test: deps
	@$(MAKE) --no-print-directory all
	@scripts/test.sh $(BUILD)

check: deps
	+@scripts/check.sh

clang:
	@$(MAKE) --no-print-directory CC=clang BUILD=build/clang all

asan:
	@$(MAKE) --no-print-directory SAN=address,undefined BUILD=build/asan all

fuzz-build:
	+@scripts/fuzz.sh build

fuzz:
	+@scripts/fuzz.sh run $(or $(T),10)

model:
	@scripts/model.sh $(if $(FULL),--full)

# Needs docker, or DOCKER=podman and docker-compose, and the network.
images:
	@docker/try.sh

bench: all
	@scripts/bench.sh

soak: all
	@scripts/test.sh $(BUILD) --soak $(or $(T),600)

install: all
	install -d $(DESTDIR)$(NGX_MODDIR) $(DESTDIR)$(PREFIX)/bin \
	    $(DESTDIR)$(PREFIX)/share/ngx_travel
	install -m 644 $(BUILD)/ngx_http_travel_module.so $(DESTDIR)$(NGX_MODDIR)/
	install -m 755 $(BUILD)/travel-worker $(BUILD)/travelctl \
	    $(DESTDIR)$(PREFIX)/bin/
	cp -r conf $(DESTDIR)$(PREFIX)/share/ngx_travel/
	[ ! -d scripts/node/node_modules/graphiql ] \
	    || scripts/graphiql.sh $(DESTDIR)$(PREFIX)/share/ngx_travel/graphiql

clean:
	rm -rf build
