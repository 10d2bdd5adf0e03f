// Counts its requests, in C without any library. A request with a body is answered "COUNT LENGTH", one for /err with an
// err. The functions are those of the canonical ABI: https://github.com/WebAssembly/component-model, CanonicalABI.md.

typedef unsigned char byte;
typedef unsigned int u32;

#define EXPORT(name) __attribute__((export_name(name)))
#define PAGE 65536u

extern byte __heap_base;

static u32 top;

// What a call is given and what it answers lies above the heap's base until the call is over.
EXPORT("cabi_realloc")
void *reallocate(byte *old, u32 old_size, u32 align, u32 size) {
    if (top == 0) top = (u32)&__heap_base;
    top = (top + align - 1) & ~(align - 1);
    u32 at = top, end = at + size, pages = __builtin_wasm_memory_size(0);
    if (end > pages * PAGE && __builtin_wasm_memory_grow(0, (end - pages * PAGE + PAGE - 1) / PAGE) == (u32)-1) {
        __builtin_trap();
    }
    for (u32 i = 0; i < old_size; i++) ((byte *)at)[i] = old[i];
    top = end;
    return (void *)at;
}

static u32 result[10];

static u32 fail(const char *text, u32 length) {
    result[0] = 1;
    result[1] = (u32)text;
    result[2] = length;
    return (u32)result;
}

static u32 number(const byte *digits, u32 length) {
    u32 value = 0;
    for (u32 i = 0; i < length; i++) value = value * 10 + (digits[i] - '0');
    return value;
}

// Digits at the end of a buffer of ten: where they begin.
static byte *digits(u32 value, byte *end) {
    do *--end = '0' + value % 10; while (value /= 10);
    return end;
}

EXPORT("theater:simple/actor#init")
u32 init(u32 has_state, byte *state, u32 length, byte *id, u32 id_length) {
    result[0] = 0;
    result[1] = 0;
    return (u32)result;
}

EXPORT("theater:simple/http-server#handle-request")
u32 handle_request(u32 has_state, byte *state, u32 length, byte *method, u32 method_length, byte *uri, u32 uri_length,
                   u32 *headers, u32 headers_length, u32 has_body, byte *body, u32 body_length) {
    static byte count[10], answer[21];
    static const char refused[] = "asked to fail";
    if (uri_length == 4 && uri[1] == 'e' && uri[2] == 'r' && uri[3] == 'r') return fail(refused, sizeof refused - 1);
    u32 value = (has_state ? number(state, length) : 0) + 1;
    byte *first = digits(value, count + sizeof count);
    u32 count_length = count + sizeof count - first;
    byte *second = digits(has_body ? body_length : 0, answer + sizeof answer);
    *--second = ' ';
    for (u32 i = count_length; i-- > 0;) *--second = first[i];
    result[0] = 0;
    // The state: some, where, how long.
    result[1] = 1;
    result[2] = (u32)first;
    result[3] = count_length;
    // The response: status, no headers, some body.
    result[4] = 200;
    result[5] = 4;
    result[6] = 0;
    result[7] = 1;
    result[8] = (u32)second;
    result[9] = answer + sizeof answer - second;
    return (u32)result;
}

EXPORT("cabi_post_theater:simple/http-server#handle-request")
void after_handle_request(u32 at) {
    top = 0;
}

EXPORT("cabi_post_theater:simple/actor#init")
void after_init(u32 at) {
    top = 0;
}
