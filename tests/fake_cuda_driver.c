/* A libcuda.so.1 for machines without a GPU, so that the host's side of CUDA runs under tests with numba-cuda itself.

   Device memory is the host's, kernels compute nothing, and everything else is checked as a driver would: handles are
   alive, copies stay within one allocation, launches have a possible shape, a thread that records a graph does nothing
   that can't be recorded, and what a graph's kernels were given is still allocated when it is replayed.  Work of a
   stream is done as late as it may be, when the host waits for it, so that whoever reuses pinned memory too early is
   found out.

   A function that isn't here isn't found: cuda.bindings raises with its name.  Functions named fake_cuda_... are for
   the tests.  FAKE_CUDA_TRACE=1 prints every call.

   cc -shared -fPIC -o libcuda.so.1 fake_cuda_driver.c -lpthread -ldl */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_IMPLICIT = 906,
} Result;
typedef unsigned long long Pointer;

/* ---- counts, for the tests */

static struct {
    long allocations, frees, loads, launches, graphs, graph_launches, copies, synchronisations, refused;
} counts;

#define COUNT(name) if (!strcmp(wanted, #name)) return counts.name
long fake_cuda_count(const char *wanted) {
    COUNT(allocations); COUNT(frees); COUNT(loads); COUNT(launches); COUNT(graphs); COUNT(graph_launches);
    COUNT(copies); COUNT(synchronisations); COUNT(refused);
    return -1;
}

/* ---- one call at a time */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int lock(const char *function) {
    pthread_mutex_lock(&mutex);
    if (getenv("FAKE_CUDA_TRACE")) fprintf(stderr, "%s\n", function);
    return 0;
}
static void unlock(int *ignored) { (void)ignored; pthread_mutex_unlock(&mutex); }
#define ENTER __attribute__((cleanup(unlock), unused)) int locked = lock(__func__)

static Result complain(const char *function, const char *what, Result result) {
    fprintf(stderr, "fake CUDA driver: %s: %s\n", function, what);
    return result;
}
#define FAIL(result, what) return complain(__func__, what, result)

/* ---- contexts: one, the primary one of the only device; each thread has a stack of those that are current */

enum { DEEPEST = 64 };
static int the_context;
static _Thread_local void *current[DEEPEST];
static _Thread_local int depth;

#define NEEDS_CONTEXT if (!depth || !current[depth - 1]) FAIL(INVALID_CONTEXT, "no context is current")

Result cuInit(unsigned flags) { (void)flags; return SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
Result cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
Result cuDeviceGet(int *device, int number) { *device = number; return number ? INVALID_DEVICE : SUCCESS; }
Result cuDeviceGetName(char *name, int size, int device) {
    (void)device;
    snprintf(name, size, "no GPU, a driver of tests");
    return SUCCESS;
}
Result cuDeviceGetUuid(void *uuid, int device) { (void)device; memset(uuid, 7, 16); return SUCCESS; }

/* the numbers of an H100; those that aren't here are 0 */
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    static const struct { int attribute, value; } known[] = {
        {1, 1024},     /* threads of a block */
        {2, 1024}, {3, 1024}, {4, 64},
        {5, 2147483647}, {6, 65535}, {7, 65535}, /* blocks of a grid */
        {8, 49152},    /* shared memory of a block */
        {10, 32},      /* threads of a warp */
        {12, 65536},   /* registers of a block */
        {16, 132},     /* multiprocessors */
        {39, 2048},    /* threads of a multiprocessor */
        {41, 1},       /* unified addresses */
        {75, 9}, {76, 0}, /* compute capability */
        {97, 232448},  /* shared memory of a block that asks for more */
    };
    *value = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].attribute == attribute) *value = known[i].value;
    return device ? INVALID_DEVICE : SUCCESS;
}

Result cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = &the_context;
    return device ? INVALID_DEVICE : SUCCESS;
}
Result cuDevicePrimaryCtxRelease(int device) { return device ? INVALID_DEVICE : SUCCESS; }
Result cuCtxPushCurrent(void *context) {
    if (depth == DEEPEST) FAIL(OUT_OF_MEMORY, "contexts are pushed and not popped");
    current[depth++] = context;
    return SUCCESS;
}
Result cuCtxPopCurrent(void **context) {
    if (!depth) FAIL(INVALID_CONTEXT, "no context is current");
    *context = current[--depth];
    return SUCCESS;
}
Result cuCtxGetCurrent(void **context) { *context = depth ? current[depth - 1] : NULL; return SUCCESS; }
Result cuCtxSetCurrent(void *context) {
    if (!depth) depth = 1;
    current[depth - 1] = context;
    return SUCCESS;
}
Result cuCtxGetDevice(int *device) { NEEDS_CONTEXT; *device = 0; return SUCCESS; }

/* ---- memory: every allocation is known */

enum { DEVICE, PINNED };
typedef struct { Pointer start; size_t size; int kind; long number; } Allocation;
static Allocation *allocations;
static int allocation_count, allocation_room;
static size_t total = (size_t)1 << 30, taken;

/* How much memory the device has, from now on. */
void fake_cuda_set_memory(size_t bytes) { ENTER; total = bytes; }

static Allocation *find(Pointer pointer, size_t size, int kind) {
    for (int i = 0; i < allocation_count; i++) {
        Allocation *a = &allocations[i];
        if (a->kind == kind && a->start <= pointer && pointer + size <= a->start + a->size) return a;
    }
    return NULL;
}
static bool is_outside(Pointer pointer, size_t size) { return size && !find(pointer, size, DEVICE); }
static bool is_pinned(const void *pointer, size_t size) { return find((Pointer)pointer, size, PINNED); }

static bool is_allocated(long number) {
    for (int i = 0; i < allocation_count; i++)
        if (allocations[i].number == number) return true;
    return false;
}

static void add_allocation(Pointer start, size_t size, int kind) {
    if (allocation_count == allocation_room) {
        allocation_room = 2 * allocation_room + 64;
        allocations = realloc(allocations, allocation_room * sizeof *allocations);
    }
    allocations[allocation_count++] = (Allocation){start, size, kind, ++counts.allocations};
}
static bool remove_allocation(Pointer start, int kind) {
    for (int i = 0; i < allocation_count; i++) {
        if (allocations[i].start != start || allocations[i].kind != kind) continue;
        if (kind == DEVICE) taken -= allocations[i].size;
        allocations[i] = allocations[--allocation_count];
        counts.frees++;
        free((void *)start);
        return true;
    }
    return false;
}

/* ---- streams: queues of copies that nothing has waited for yet */

enum { LEGACY = 1, PER_THREAD = 2 }; /* handles of streams that nobody creates; 0 is the legacy one, too */
enum { COPY, SET, WAIT, KERNEL };
typedef struct Stream Stream;
typedef struct {
    int kind;
    void *target;
    const void *source;
    size_t bytes;
    int byte;       /* of SET */
    Stream *stream; /* of WAIT: what was enqueued there before ``until`` */
    long until;
    long *memory;   /* of KERNEL: numbers of the allocations that it was given, up to 0 */
} Work;
typedef struct { Work *works; int count, room; bool is_invalid; } Graph;
struct Stream {
    bool is_alive;
    Graph pending;       /* its first work is number ``done`` */
    long enqueued, done;
    Stream *next;
};
static Stream *streams;
static Stream default_stream = {.is_alive = true};
static _Thread_local Stream *capturing; /* of this thread: mode CU_STREAM_CAPTURE_MODE_THREAD_LOCAL */
static _Thread_local Graph *captured;

static void append(Graph *graph, Work work) {
    if (graph->count == graph->room) {
        graph->room = 2 * graph->room + 16;
        graph->works = realloc(graph->works, graph->room * sizeof *graph->works);
    }
    graph->works[graph->count++] = work;
}
static void finish(Stream *stream, long until) {
    while (stream->done < until) {
        Work work = stream->pending.works[stream->pending.count - (stream->enqueued - stream->done)];
        stream->done++;
        if (work.kind == COPY) memmove(work.target, work.source, work.bytes);
        if (work.kind == SET) memset(work.target, work.byte, work.bytes);
        if (work.kind == WAIT) finish(work.stream, work.until);
    }
    if (stream->done == stream->enqueued) stream->pending.count = 0;
}
static void finish_all(void) {
    for (Stream *stream = streams; stream; stream = stream->next) finish(stream, stream->enqueued);
}
static Stream *known(void *handle) {
    if ((uintptr_t)handle <= PER_THREAD) return &default_stream;
    return ((Stream *)handle)->is_alive ? handle : NULL;
}
static void enqueue(Stream *stream, Work work) {
    if (stream == capturing) {
        append(captured, work);
    } else if (stream == &default_stream) { /* in turn with all other streams */
        finish_all();
        append(&stream->pending, work);
        finish(stream, ++stream->enqueued);
    } else {
        append(&stream->pending, work);
        stream->enqueued++;
    }
}

/* What may not be done by a thread that records a graph, which is then lost. */
static Result refuse(const char *function) {
    if (!capturing) return SUCCESS;
    counts.refused++;
    captured->is_invalid = true;
    return complain(function, "not while a graph is recorded", CAPTURE_UNSUPPORTED);
}
#define NOT_IN_GRAPHS if (refuse(__func__)) return CAPTURE_UNSUPPORTED
#define STREAM(name, handle)                                                    \
    Stream *name = known(handle);                                               \
    if (!name) FAIL(INVALID_HANDLE, "the stream was destroyed");                \
    if (capturing && name == &default_stream) {                                 \
        refuse(__func__);                                                       \
        return CAPTURE_IMPLICIT;                                                \
    }

Result cuStreamCreate(void **stream, unsigned flags) {
    ENTER; NEEDS_CONTEXT;
    if (flags) FAIL(NOT_SUPPORTED, "streams that don't wait for the default one");
    Stream *made = calloc(1, sizeof *made);
    made->is_alive = true;
    made->next = streams;
    *stream = streams = made;
    return SUCCESS;
}
Result cuStreamDestroy(void *handle) {
    ENTER; STREAM(stream, handle);
    finish(stream, stream->enqueued);
    stream->is_alive = false; /* its memory stays, so that later uses are seen */
    return SUCCESS;
}
Result cuStreamSynchronize(void *handle) {
    ENTER; NOT_IN_GRAPHS; STREAM(stream, handle);
    counts.synchronisations++;
    if (stream == &default_stream) finish_all();
    else finish(stream, stream->enqueued);
    return SUCCESS;
}
Result cuCtxSynchronize(void) {
    ENTER; NEEDS_CONTEXT; NOT_IN_GRAPHS;
    counts.synchronisations++;
    finish_all();
    return SUCCESS;
}

/* ---- events: places in a stream */

typedef struct { bool is_alive; Stream *stream; long until; } Event;
#define EVENT(name, handle) Event *name = handle; if (!name->is_alive) FAIL(INVALID_HANDLE, "the event was destroyed")

Result cuEventCreate(void **event, unsigned flags) {
    ENTER; NEEDS_CONTEXT;
    (void)flags;
    Event *made = calloc(1, sizeof *made);
    made->is_alive = true;
    *event = made;
    return SUCCESS;
}
Result cuEventDestroy(void *handle) { ENTER; EVENT(event, handle); event->is_alive = false; return SUCCESS; }
Result cuEventRecord(void *handle, void *stream_handle) {
    ENTER; NOT_IN_GRAPHS; EVENT(event, handle); STREAM(stream, stream_handle);
    event->stream = stream;
    event->until = stream->enqueued;
    return SUCCESS;
}
Result cuEventSynchronize(void *handle) {
    ENTER; NOT_IN_GRAPHS; EVENT(event, handle);
    counts.synchronisations++;
    if (event->stream) finish(event->stream, event->until);
    return SUCCESS;
}
Result cuStreamWaitEvent(void *handle, void *event_handle, unsigned flags) {
    ENTER; NOT_IN_GRAPHS; EVENT(event, event_handle); STREAM(stream, handle);
    if (flags) FAIL(INVALID_VALUE, "flags");
    if (event->stream) enqueue(stream, (Work){.kind = WAIT, .stream = event->stream, .until = event->until});
    return SUCCESS;
}

/* ---- allocating and copying */

Result cuMemGetInfo(size_t *free_bytes, size_t *bytes) {
    ENTER; NEEDS_CONTEXT;
    *free_bytes = total > taken ? total - taken : 0;
    *bytes = total;
    return SUCCESS;
}
Result cuMemAlloc(Pointer *pointer, size_t size) {
    ENTER; NEEDS_CONTEXT; NOT_IN_GRAPHS;
    if (!size) FAIL(INVALID_VALUE, "no bytes are asked for");
    if (size > total || taken > total - size) return OUT_OF_MEMORY;
    *pointer = (Pointer)aligned_alloc(256, (size + 255) / 256 * 256);
    memset((void *)*pointer, 0, size); /* so that what kernels leave is no rubbish */
    taken += size;
    add_allocation(*pointer, size, DEVICE);
    return SUCCESS;
}
Result cuMemFree(Pointer pointer) {
    ENTER; NOT_IN_GRAPHS;
    finish_all();
    if (!remove_allocation(pointer, DEVICE)) FAIL(INVALID_VALUE, "memory that isn't allocated");
    return SUCCESS;
}
Result cuMemHostAlloc(void **pointer, size_t size, unsigned flags) {
    ENTER; NEEDS_CONTEXT; NOT_IN_GRAPHS;
    (void)flags;
    if (!size) FAIL(INVALID_VALUE, "no bytes are asked for");
    *pointer = malloc(size);
    add_allocation((Pointer)*pointer, size, PINNED);
    return SUCCESS;
}
Result cuMemFreeHost(void *pointer) {
    ENTER; NOT_IN_GRAPHS;
    finish_all();
    if (!remove_allocation((Pointer)pointer, PINNED)) FAIL(INVALID_VALUE, "memory that isn't allocated");
    return SUCCESS;
}
Result cuPointerGetAttribute(void *value, int attribute, Pointer pointer) {
    ENTER;
    if (is_outside(pointer, 1)) FAIL(INVALID_VALUE, "memory that isn't allocated");
    if (attribute == 1) *(void **)value = &the_context;
    else if (attribute == 2) *(unsigned *)value = 2; /* memory of the device */
    else if (attribute == 3) *(Pointer *)value = pointer;
    else if (attribute == 9) *(int *)value = 0; /* number of the device */
    else FAIL(NOT_SUPPORTED, "an attribute");
    return SUCCESS;
}

#define INSIDE(pointer, size) if (is_outside(pointer, size)) FAIL(INVALID_VALUE, "bytes outside of an allocation")

/* A copy between host and device: one of memory that isn't pinned is done when the call returns. */
static void transfer(Stream *stream, void *target, const void *source, size_t size, bool waits) {
    counts.copies++;
    enqueue(stream, (Work){.kind = COPY, .target = target, .source = source, .bytes = size});
    if (waits && stream != capturing) finish(stream, stream->enqueued);
}

Result cuMemcpyHtoDAsync(Pointer target, const void *source, size_t size, void *handle) {
    ENTER; NEEDS_CONTEXT; STREAM(stream, handle); INSIDE(target, size);
    bool waits = !is_pinned(source, size);
    if (waits) NOT_IN_GRAPHS;
    transfer(stream, (void *)target, source, size, waits);
    return SUCCESS;
}
Result cuMemcpyDtoHAsync(void *target, Pointer source, size_t size, void *handle) {
    ENTER; NEEDS_CONTEXT; STREAM(stream, handle); INSIDE(source, size);
    bool waits = !is_pinned(target, size);
    if (waits) NOT_IN_GRAPHS;
    transfer(stream, target, (void *)source, size, waits);
    return SUCCESS;
}
Result cuMemcpyDtoDAsync(Pointer target, Pointer source, size_t size, void *handle) {
    ENTER; NEEDS_CONTEXT; STREAM(stream, handle); INSIDE(target, size); INSIDE(source, size);
    transfer(stream, (void *)target, (void *)source, size, false);
    return SUCCESS;
}
Result cuMemsetD8Async(Pointer target, unsigned char byte, size_t size, void *handle) {
    ENTER; NEEDS_CONTEXT; STREAM(stream, handle); INSIDE(target, size);
    enqueue(stream, (Work){.kind = SET, .target = (void *)target, .byte = byte, .bytes = size});
    return SUCCESS;
}
Result cuMemcpyHtoD(Pointer target, const void *source, size_t size) {
    return cuMemcpyHtoDAsync(target, source, size, NULL);
}
Result cuMemcpyDtoH(void *target, Pointer source, size_t size) {
    return cuMemcpyDtoHAsync(target, source, size, NULL);
}
Result cuMemcpyDtoD(Pointer target, Pointer source, size_t size) {
    return cuMemcpyDtoDAsync(target, source, size, NULL);
}
Result cuMemsetD8(Pointer target, unsigned char byte, size_t size) {
    return cuMemsetD8Async(target, byte, size, NULL);
}

/* ---- modules and kernels */

typedef struct { bool is_alive; void *image; size_t size; } Library;
enum { MOST_PARAMETERS = 1024 };
typedef struct {
    Library *library;
    int shared; /* bytes of shared memory that it may be launched with */
    int parameter_count;
    int sizes[MOST_PARAMETERS]; /* of the parameters */
} Kernel;

/* Parameters are described in the section .nv.info.NAME by records (4, 0x17, bytes that follow: index of 32 bits, number
   and offset of the parameter of 16, and 32 bits whose upper ones are its size). */
static void find_parameters(Kernel *kernel, const char *name) {
    const unsigned char *image = kernel->library->image;
    const Elf64_Ehdr *header = kernel->library->image;
    const Elf64_Shdr *sections = (const void *)(image + header->e_shoff);
    const char *names = (const char *)image + sections[header->e_shstrndx].sh_offset;
    for (int i = 0; i < header->e_shnum; i++) {
        const char *section = names + sections[i].sh_name;
        if (strncmp(section, ".nv.info.", 9) || strcmp(section + 9, name)) continue;
        const unsigned char *at = image + sections[i].sh_offset, *end = at + sections[i].sh_size;
        while (at < end) {
            uint16_t bytes, number;
            uint32_t flags;
            memcpy(&bytes, at + 2, sizeof bytes);
            if (at[0] == 4 && at[1] == 0x17) {
                memcpy(&number, at + 8, sizeof number);
                memcpy(&flags, at + 12, sizeof flags);
                if (number >= MOST_PARAMETERS) abort();
                kernel->sizes[number] = flags >> 18;
                if (number >= kernel->parameter_count) kernel->parameter_count = number + 1;
            }
            at += at[0] == 4 ? 4 + bytes : 4;
        }
    }
}

/* The allocations into which parameters point. */
static long *memory_of(const Kernel *kernel, void **arguments) {
    long *found = calloc(kernel->parameter_count + 1, sizeof *found);
    int count = 0;
    for (int i = 0; i < kernel->parameter_count; i++) {
        if (kernel->sizes[i] != sizeof(Pointer)) continue;
        Allocation *allocation = find(*(Pointer *)arguments[i], 1, DEVICE);
        if (allocation) found[count++] = allocation->number;
    }
    return found;
}

Result cuLibraryLoadData(void **library, const void *code, void *options, void **values, unsigned count,
                         void *library_options, void **library_values, unsigned library_count) {
    ENTER; NEEDS_CONTEXT; NOT_IN_GRAPHS;
    (void)options; (void)values; (void)count; (void)library_options; (void)library_values; (void)library_count;
    const Elf64_Ehdr *header = code;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) || header->e_machine != EM_CUDA)
        FAIL(INVALID_IMAGE, "no machine code of a GPU");
    Library *made = calloc(1, sizeof *made);
    made->is_alive = true;
    made->size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
    made->image = malloc(made->size);
    memcpy(made->image, code, made->size);
    *library = made;
    counts.loads++;
    return SUCCESS;
}
Result cuLibraryUnload(void *handle) {
    ENTER; NOT_IN_GRAPHS;
    Library *library = handle;
    if (!library->is_alive) FAIL(INVALID_HANDLE, "the library was unloaded");
    library->is_alive = false;
    return SUCCESS;
}
Result cuLibraryGetKernel(void **kernel, void *handle, const char *name) {
    ENTER;
    Library *library = handle;
    if (!library->is_alive) FAIL(INVALID_HANDLE, "the library was unloaded");
    if (!memmem(library->image, library->size, name, strlen(name) + 1)) FAIL(NOT_FOUND, name);
    Kernel *made = calloc(1, sizeof *made);
    made->library = library;
    made->shared = 49152;
    find_parameters(made, name);
    *kernel = made;
    return SUCCESS;
}
Result cuKernelGetAttribute(int *value, int attribute, void *kernel, int device) {
    (void)kernel;
    *value = attribute == 0 ? 1024 : attribute == 4 ? 32 : 0; /* threads of a block, registers */
    return device ? INVALID_DEVICE : SUCCESS;
}
Result cuKernelSetAttribute(int attribute, int value, void *handle, int device) {
    ENTER;
    Kernel *kernel = handle;
    if (device || attribute != 8 || value > 232448) FAIL(INVALID_VALUE, "an attribute");
    kernel->shared = value; /* CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
    return SUCCESS;
}

typedef struct {
    unsigned grid[3], block[3], shared;
    void *stream, *attributes;
    unsigned attribute_count;
} Launch;

Result cuLaunchKernelEx(const Launch *launch, void *handle, void **arguments, void **extra) {
    ENTER; NEEDS_CONTEXT; STREAM(stream, launch->stream);
    (void)extra;
    const unsigned *grid = launch->grid, *block = launch->block;
    Kernel *kernel = handle;
    if (!kernel->library->is_alive) FAIL(INVALID_HANDLE, "the library was unloaded");
    if (!grid[0] || !grid[1] || !grid[2] || grid[0] > INT32_MAX || grid[1] > 65535 || grid[2] > 65535)
        FAIL(INVALID_VALUE, "a grid that can't be");
    if (!block[0] || !block[1] || !block[2] || block[2] > 64 || (size_t)block[0] * block[1] * block[2] > 1024)
        FAIL(INVALID_VALUE, "a block that can't be");
    if (launch->shared > (unsigned)kernel->shared) FAIL(INVALID_VALUE, "more shared memory than was asked for");
    if (stream != capturing) counts.launches++;
    else append(captured, (Work){.kind = KERNEL, .memory = memory_of(kernel, arguments)});
    return SUCCESS;
}

/* ---- graphs */

typedef struct { bool is_alive; Graph graph; } Executable;

Result cuStreamBeginCapture(void *handle, int mode) {
    ENTER; NEEDS_CONTEXT; NOT_IN_GRAPHS; STREAM(stream, handle);
    if (mode != 1 || stream == &default_stream) FAIL(NOT_SUPPORTED, "another way of recording");
    capturing = stream;
    captured = calloc(1, sizeof *captured);
    return SUCCESS;
}
Result cuStreamEndCapture(void *handle, void **graph) {
    ENTER;
    if (!capturing || handle != capturing) FAIL(INVALID_VALUE, "no graph is recorded");
    bool is_invalid = captured->is_invalid;
    *graph = is_invalid ? NULL : captured;
    capturing = NULL;
    if (is_invalid) FAIL(CAPTURE_INVALIDATED, "the graph is lost");
    return SUCCESS;
}
Result cuGraphInstantiateWithFlags(void **executable, void *handle, unsigned long long flags) {
    ENTER; NEEDS_CONTEXT;
    Graph *graph = handle;
    if (flags) FAIL(NOT_SUPPORTED, "flags");
    Executable *made = calloc(1, sizeof *made);
    made->is_alive = true;
    for (int i = 0; i < graph->count; i++) append(&made->graph, graph->works[i]);
    *executable = made;
    counts.graphs++;
    return SUCCESS;
}
Result cuGraphDestroy(void *handle) { ENTER; Graph *graph = handle; free(graph->works); free(graph); return SUCCESS; }
Result cuGraphLaunch(void *handle, void *stream_handle) {
    ENTER; NOT_IN_GRAPHS; STREAM(stream, stream_handle); /* which knows its context */
    Executable *executable = handle;
    if (!executable->is_alive) FAIL(INVALID_HANDLE, "the graph was destroyed");
    for (int i = 0; i < executable->graph.count; i++) {
        Work work = executable->graph.works[i];
        if (work.kind != KERNEL) enqueue(stream, work);
        for (long *number = work.memory; number && *number; number++)
            if (!is_allocated(*number)) FAIL(ILLEGAL_ADDRESS, "memory of a kernel was freed since it was recorded");
    }
    counts.graph_launches++;
    return SUCCESS;
}
Result cuGraphExecDestroy(void *handle) {
    ENTER;
    Executable *executable = handle;
    if (!executable->is_alive) FAIL(INVALID_HANDLE, "the graph was destroyed");
    executable->is_alive = false;
    return SUCCESS;
}

/* ---- names */

Result cuGetErrorName(Result error, const char **name) {
    static const struct { Result error; const char *name; } names[] = {
        {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
        {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
        {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
        {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
        {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
        {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
    };
    *name = "CUDA_ERROR_UNKNOWN";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].error == error) *name = names[i].name;
    return SUCCESS;
}
Result cuGetErrorString(Result error, const char **text) { return cuGetErrorName(error, text); }

Result cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    (void)version; (void)flags;
    static void *self;
    if (!self) {
        Dl_info info;
        dladdr((void *)cuGetProcAddress_v2, &info);
        self = dlopen(info.dli_fname, RTLD_LAZY);
    }
    *function = strcmp(name, "cuGetProcAddress") ? dlsym(self, name) : (void *)cuGetProcAddress_v2;
    if (status) *status = *function ? 0 : 1; /* found, or not */
    return *function ? SUCCESS : NOT_FOUND;
}
