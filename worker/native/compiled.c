/* Codecs of the hot path: orders as JSON, texts from templates with their ids, Kafka's record batches and CRC32C.
 *
 * Rules:
 * - Each function has a Python form that gives the same bytes. worker/native/README.md names it.
 * - Only counting.h knows a business rule. Elsewhere templates and names come from Python.
 * - What is unusual is left to the Python form: a function returns None, or stops before it.
 * - Bytes and texts may hold anything. Each write is preceded by `reserve` with the number of bytes.
 * - Python's stable ABI of 3.11 only, so that one library serves all later versions.
 *
 * With -DPORTABLE no instruction is used that a processor might lack. With -DEXACT a buffer has no byte to spare, so
 * that a sanitizer sees each byte that is written without room.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(PORTABLE)
#define X86 1
#include <cpuid.h>
#include <immintrin.h>
#endif

/* What a function that writes returns. FAILED: a Python exception is set. UNUSUAL: the Python form has to do it. */
enum { DONE = 0, FAILED = -1, UNUSUAL = 1 };

/* ---- A buffer that grows ---------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *data;
    size_t used, size;
} Out;

/* Make room for `more` bytes. The put_ functions below write without another check. */
static int reserve(Out *out, size_t more) {
    if (more > (size_t)PY_SSIZE_T_MAX / 2 - out->used) {
        PyErr_NoMemory();
        return FAILED;
    }
    size_t size = out->used + more;
#ifndef EXACT
    if (size <= out->size) return DONE;
    size *= 2;
#endif
    uint8_t *data = PyMem_Realloc(out->data, size);
    if (data == NULL) {
        PyErr_NoMemory();
        return FAILED;
    }
    out->data = data;
    out->size = size;
    return DONE;
}

static void put(Out *out, const void *data, size_t n) {
    if (n) memcpy(out->data + out->used, data, n);
    out->used += n;
}

static void put_byte(Out *out, uint8_t byte) { out->data[out->used++] = byte; }

/* ---- CRC32C (RFC 3720) ------------------------------------------------------------------------------------------ */

static uint32_t crc_table[8][256]; /* filled once, when the module is loaded */

static void make_crc_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        crc_table[0][byte] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = crc_table[slice - 1][byte];
            crc_table[slice][byte] = before >> 8 ^ crc_table[0][before & 255];
        }
}

/* Eight bytes at a time, by eight tables (Intel's slicing-by-8). */
static uint32_t crc_portable(uint32_t crc, const uint8_t *p, size_t n) {
    for (; n >= 8; p += 8, n -= 8) {
        crc ^= p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = crc_table[7][crc & 255] ^ crc_table[6][crc >> 8 & 255] ^ crc_table[5][crc >> 16 & 255] ^
              crc_table[4][crc >> 24] ^ crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^
              crc_table[0][p[7]];
    }
    while (n--) crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 255];
    return crc;
}

#ifdef X86
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t start, const uint8_t *p, size_t n) {
    uint64_t crc = start;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t eight;
        memcpy(&eight, p, 8);
        crc = _mm_crc32_u64(crc, eight);
    }
    while (n--) crc = _mm_crc32_u8((uint32_t)crc, *p++);
    return (uint32_t)crc;
}
#endif

static uint32_t (*crc_update)(uint32_t, const uint8_t *, size_t) = crc_portable;

/* ---- SHA-1 (RFC 3174) ------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t state[5];
    uint64_t bytes;
    uint8_t block[64]; /* bytes % 64 of it are filled */
} Sha1;

static uint32_t rotated(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

static void sha1_portable(uint32_t *state, const uint8_t *p) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 80; i++) w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
#define ROUNDS(from, to, mixed)                                \
    for (int i = from; i < to; i++) {                          \
        uint32_t next = rotated(a, 5) + (mixed) + e + w[i];    \
        e = d, d = c, c = rotated(b, 30), b = a, a = next;     \
    }
    ROUNDS(0, 20, ((b & c) | (~b & d)) + 0x5A827999u)
    ROUNDS(20, 40, (b ^ c ^ d) + 0x6ED9EBA1u)
    ROUNDS(40, 60, ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCu)
    ROUNDS(60, 80, (b ^ c ^ d) + 0xCA62C1D6u)
#undef ROUNDS
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

#ifdef X86
/* Four rounds an instruction. w[g] holds the words of the rounds from 4 * g on; w[20] is for the end. */
__attribute__((target("sha,sse4.1"))) static void sha1_sha_ni(uint32_t *state, const uint8_t *p) {
    const __m128i big_endian = _mm_set_epi64x(0x0001020304050607LL, 0x08090A0B0C0D0E0FLL);
    const __m128i abcd_before = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0x1B);
    __m128i w[21], abcd = abcd_before, e, last;
    for (int g = 0; g < 4; g++)
        w[g] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * g)), big_endian);
    for (int g = 4; g < 20; g++)
        w[g] = _mm_sha1msg2_epu32(_mm_xor_si128(_mm_sha1msg1_epu32(w[g - 4], w[g - 3]), w[g - 2]), w[g - 1]);
    w[20] = _mm_set_epi32((int)state[4], 0, 0, 0);
    e = _mm_add_epi32(w[20], w[0]);
#define ROUNDS(from, to, function)                      \
    for (int g = from; g < to; g++) {                   \
        last = abcd;                                    \
        abcd = _mm_sha1rnds4_epu32(abcd, e, function);  \
        e = _mm_sha1nexte_epu32(last, w[g + 1]);        \
    }
    ROUNDS(0, 5, 0)
    ROUNDS(5, 10, 1)
    ROUNDS(10, 15, 2)
    ROUNDS(15, 20, 3)
#undef ROUNDS
    abcd = _mm_shuffle_epi32(_mm_add_epi32(abcd, abcd_before), 0x1B);
    _mm_storeu_si128((__m128i *)state, abcd);
    state[4] = (uint32_t)_mm_extract_epi32(e, 3);
}
#endif

static void (*sha1_block)(uint32_t *, const uint8_t *) = sha1_portable;

static void sha1_begin(Sha1 *sha1) {
    static const uint32_t start[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
    memcpy(sha1->state, start, sizeof start);
    sha1->bytes = 0;
}

static void sha1_add(Sha1 *sha1, const void *data, size_t n) {
    const uint8_t *p = data;
    while (n) {
        size_t filled = sha1->bytes % 64, taken = n < 64 - filled ? n : 64 - filled;
        memcpy(sha1->block + filled, p, taken);
        sha1->bytes += taken, p += taken, n -= taken;
        if (filled + taken == 64) sha1_block(sha1->state, sha1->block);
    }
}

static void sha1_end(Sha1 *sha1, uint8_t digest[20]) {
    uint64_t bits = sha1->bytes * 8;
    uint8_t padding[72] = {0x80}, *length;
    size_t zeros = (119 - sha1->bytes % 64) % 64 + 1; /* to 56 bytes of the last block; the 0x80 is one of them */
    length = padding + zeros;
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha1_add(sha1, padding, zeros + 8);
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(sha1->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* The UUIDv5 (RFC 9562) of what was added, as 36 characters. */
static void uuid_end(Sha1 *sha1, char text[36]) {
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[20];
    sha1_end(sha1, digest);
    digest[6] = (digest[6] & 0x0F) | 0x50;
    digest[8] = (digest[8] & 0x3F) | 0x80;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *text++ = '-';
        *text++ = hex[digest[i] >> 4];
        *text++ = hex[digest[i] & 15];
    }
}

/* ---- Texts and numbers ------------------------------------------------------------------------------------------ */

typedef struct {
    const char *p;
    size_t n;
    int plain; /* whether no character has to be escaped in JSON; 0 if not known */
} Span;

/* The UTF-8 of a str. UNUSUAL if it is none, or has unpaired surrogates. It lives as long as the str. */
static int utf8(PyObject *text, Span *span) {
    Py_ssize_t n;
    if (!PyUnicode_Check(text)) return UNUSUAL;
    span->p = PyUnicode_AsUTF8AndSize(text, &n);
    if (span->p == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeError)) return FAILED;
        PyErr_Clear();
        return UNUSUAL;
    }
    span->n = (size_t)n;
    span->plain = 0;
    return DONE;
}

/* The same, with a look at all characters, for what is written more than once. */
static int utf8_looked_at(PyObject *text, Span *span) {
    int done = utf8(text, span);
    if (done) return done;
    span->plain = 1;
    for (size_t i = 0; i < span->n; i++) {
        uint8_t byte = (uint8_t)span->p[i];
        span->plain &= byte >= 0x20 && byte != '"' && byte != '\\';
    }
    return DONE;
}

static int put_span(Out *out, Span span) {
    if (reserve(out, span.n)) return FAILED;
    put(out, span.p, span.n);
    return DONE;
}

/* A JSON string. UNUSUAL if a character needs an escape of more than a backslash. */
static int put_quoted(Out *out, Span span) {
    if (span.n > (size_t)PY_SSIZE_T_MAX / 4) return UNUSUAL;
    if (reserve(out, 2 * span.n + 2)) return FAILED;
    put_byte(out, '"');
    if (span.plain) put(out, span.p, span.n);
    for (size_t i = span.plain ? span.n : 0; i < span.n; i++) {
        uint8_t byte = (uint8_t)span.p[i];
        if (byte < 0x20) return UNUSUAL;
        if (byte == '"' || byte == '\\') put_byte(out, '\\');
        put_byte(out, byte);
    }
    put_byte(out, '"');
    return DONE;
}

/* A whole number, with a point before the last `digits` digits, and zeros before it as needed. digits: 0 to 9. */
static int put_decimal(Out *out, long long number, int digits) {
    char text[32], *p = text + sizeof text;
    unsigned long long left = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    for (int written = 0; left || written <= digits; written++, left /= 10) {
        if (digits && written == digits) *--p = '.';
        *--p = (char)('0' + left % 10);
    }
    if (number < 0) *--p = '-';
    return put_span(out, (Span){p, (size_t)(text + sizeof text - p), 0});
}

/* The value of an int. UNUSUAL if it is none, or has more than 64 bits. */
static int whole_number(PyObject *object, long long *number) {
    int overflow;
    if (!PyLong_CheckExact(object)) return UNUSUAL;
    *number = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow ? UNUSUAL : DONE;
}

/* ---- Texts from templates --------------------------------------------------------------------------------------- */

#define MOST_VALUES 32
#define MOST_IDS 4
#define ID_BYTES 36

/* A value that templates are filled with: a text, or a number if the text is NULL. */
typedef struct {
    Span text;
    long long number;
} Value;

typedef struct {
    Value values[MOST_VALUES];
    Py_ssize_t count, ids; /* how many of each there are */
    Span time;
    int digits; /* of all amounts */
    char id[MOST_IDS][ID_BYTES];
} Values;

static int value_of(PyObject *object, Value *value) {
    if (PyUnicode_Check(object)) return utf8_looked_at(object, &value->text);
    value->text.p = NULL;
    if (!PyBool_Check(object)) return whole_number(object, &value->number);
    value->number = object == Py_True;
    return DONE;
}

/* A slot of a template, and the text before it. kind: its letter (see Text in worker/native/__init__.py). */
typedef struct {
    Span before;
    char kind;
    uint8_t place;
    long long more; /* to add to an int */
} Slot;

#define USUAL_TEXT_BYTES 1024 /* so that few texts need more room */
#define MOST_SLOTS 24
#define MOST_TEXTS 12

typedef struct {
    Slot slots[MOST_SLOTS];
    Py_ssize_t count;
    Span rest; /* after the last slot */
} Template;

/* Templates as they were read from Python's. The owner keeps the bytes of their texts alive. */
typedef struct {
    PyObject *owner;
    Span namespace;
    Template ids[MOST_IDS], texts[MOST_TEXTS];
    Py_ssize_t id_count, text_count;
} Forms;

static int wrong_form(const char *problem) {
    PyErr_SetString(PyExc_ValueError, problem);
    return FAILED;
}

static int read_template(PyObject *text, Template *template) {
    const char *p, *kinds;
    const uint8_t *places;
    Py_ssize_t n, slots, placed;
    PyObject *addends;
    if (!PyArg_ParseTuple(text, "y#y#y#O!", &p, &n, &kinds, &slots, &places, &placed, &PyTuple_Type, &addends))
        return FAILED;
    if (slots > MOST_SLOTS || placed != slots || PyTuple_Size(addends) != slots) return wrong_form("too many slots");
    const char *end = p + n;
    for (Py_ssize_t i = 0; i < slots; i++) {
        Slot *slot = &template->slots[i];
        const char *mark = memchr(p, '%', (size_t)(end - p));
        if (mark == NULL || end - mark < 2 || mark[1] != 's') return wrong_form("a template has too few slots");
        *slot = (Slot){{p, (size_t)(mark - p), 0}, kinds[i], places[i], 0};
        if (whole_number(PyTuple_GetItem(addends, i), &slot->more)) return wrong_form("a number to add is none");
        p = mark + 2;
    }
    template->count = slots;
    template->rest = (Span){p, (size_t)(end - p), 0};
    return memchr(p, '%', template->rest.n) == NULL ? DONE : wrong_form("a template has too many slots");
}

static int read_templates(PyObject *texts, Template *templates, Py_ssize_t most, Py_ssize_t *count) {
    *count = PyTuple_Size(texts);
    if (*count > most) return wrong_form("too many templates");
    for (Py_ssize_t i = 0; i < *count; i++) {
        PyObject *text = PyTuple_GetItem(texts, i);
        if (!PyTuple_Check(text)) return wrong_form("a template is no tuple");
        if (read_template(text, &templates[i])) return FAILED;
    }
    return DONE;
}

#define KNOWN_FORMS 4
static Forms known_forms[KNOWN_FORMS]; /* those that were used last; each is found by its owner */
static int next_form;

/* The templates of a Texts, which are read once. */
static const Forms *forms_of(PyObject *owner) {
    PyObject *ids, *texts;
    Py_ssize_t namespace_bytes;
    for (int i = 0; i < KNOWN_FORMS; i++)
        if (known_forms[i].owner == owner) return &known_forms[i];
    Forms *forms = &known_forms[next_form];
    next_form = (next_form + 1) % KNOWN_FORMS;
    Py_CLEAR(forms->owner);
    if (!PyArg_ParseTuple(owner, "y#O!O!", &forms->namespace.p, &namespace_bytes, &PyTuple_Type, &ids, &PyTuple_Type,
                          &texts))
        return NULL;
    forms->namespace.n = (size_t)namespace_bytes;
    if (read_templates(ids, forms->ids, MOST_IDS, &forms->id_count) ||
        read_templates(texts, forms->texts, MOST_TEXTS, &forms->text_count))
        return NULL;
    Py_INCREF(owner);
    forms->owner = owner;
    return forms;
}

static int put_slot(Out *out, const Values *values, const Slot *slot) {
    if (slot->kind == 'T') return put_span(out, values->time);
    if (slot->kind == 'I' && slot->place < values->ids) return put_span(out, (Span){values->id[slot->place], ID_BYTES, 0});
    if (slot->place < values->count) {
        const Value *value = &values->values[slot->place];
        long long number = value->number, more = slot->more;
        if (value->text.p != NULL) {
            if (slot->kind == 'q') return put_quoted(out, value->text);
            if (slot->kind == 't') return put_span(out, value->text);
        } else if (slot->kind == 'b') {
            return put_span(out, number ? (Span){"true", 4, 0} : (Span){"false", 5, 0});
        } else if (slot->kind == 'm') {
            return put_decimal(out, number, values->digits);
        } else if (slot->kind == 'i') {
            if (more > 0 ? number > INT64_MAX - more : number < INT64_MIN - more) return UNUSUAL;
            return put_decimal(out, number + more, 0);
        }
    }
    return wrong_form("a slot and its value do not fit");
}

static int put_filled(Out *out, const Values *values, const Template *template) {
    for (Py_ssize_t i = 0; i < template->count; i++) {
        int done = put_span(out, template->slots[i].before);
        if (!done) done = put_slot(out, values, &template->slots[i]);
        if (done) return done;
    }
    return put_span(out, template->rest);
}

/* The UUIDv5 of each filled template. */
static int make_ids(Out *out, Values *values, const Forms *forms) {
    for (; values->ids < forms->id_count; values->ids++) {
        Sha1 sha1;
        out->used = 0;
        int done = put_filled(out, values, &forms->ids[values->ids]);
        if (done) return done;
        sha1_begin(&sha1);
        sha1_add(&sha1, forms->namespace.p, forms->namespace.n);
        sha1_add(&sha1, out->data, out->used);
        uuid_end(&sha1, values->id[values->ids]);
    }
    return DONE;
}

PyDoc_STRVAR(texts_doc, "texts(forms, digits, time, values) -> tuple");

/* See Codecs.texts in worker/native/__init__.py. */
static PyObject *texts(PyObject *module, PyObject *args) {
    PyObject *owner, *time, *given, *made = NULL;
    Values values = {.count = 0};
    Out out = {0};
    if (!PyArg_ParseTuple(args, "O!iUO!", &PyTuple_Type, &owner, &values.digits, &time, &PyTuple_Type, &given))
        return NULL;
    if (PyTuple_Size(given) > MOST_VALUES || values.digits < 0 || values.digits > 9)
        return PyErr_Format(PyExc_ValueError, "too many values or digits");
    const Forms *forms = forms_of(owner);
    if (forms == NULL) return NULL;
    int done = reserve(&out, USUAL_TEXT_BYTES);
    if (!done) done = utf8(time, &values.time);
    for (; !done && values.count < PyTuple_Size(given); values.count++)
        done = value_of(PyTuple_GetItem(given, values.count), &values.values[values.count]);
    if (!done) done = make_ids(&out, &values, forms);
    if (!done && (made = PyTuple_New(forms->text_count)) == NULL) done = FAILED;
    for (Py_ssize_t i = 0; !done && i < forms->text_count; i++) {
        out.used = 0;
        done = put_filled(&out, &values, &forms->texts[i]);
        if (done) break;
        PyObject *text = PyBytes_FromStringAndSize((char *)out.data, (Py_ssize_t)out.used);
        if (text == NULL || PyTuple_SetItem(made, i, text)) done = FAILED;
    }
    PyMem_Free(out.data);
    if (!done) return made;
    Py_XDECREF(made);
    if (done == FAILED) return NULL;
    Py_RETURN_NONE;
}

/* ---- Record batches (Kafka's format v2) ------------------------------------------------------------------------- */

#define HEADER_BYTES 61  /* before the records; Python writes it */
#define VARINT_BYTES 10  /* at most */
#define MOST_BYTES INT32_MAX /* the format's lengths have 32 bits */

static size_t varint_bytes(int64_t number) {
    uint64_t zigzag = (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0);
    size_t bytes = 1;
    for (; zigzag > 127; zigzag >>= 7) bytes++;
    return bytes;
}

static void put_varint(Out *out, int64_t number) {
    uint64_t zigzag = (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0);
    for (; zigzag > 127; zigzag >>= 7) put_byte(out, (uint8_t)(zigzag | 128));
    put_byte(out, (uint8_t)zigzag);
}

/* Bytes or None, which has the length -1. UNUSUAL for anything else. */
static int bytes_or_none(PyObject *object, Span *span, int64_t *length) {
    char *data;
    Py_ssize_t n;
    *span = (Span){0};
    *length = -1;
    if (object == Py_None) return DONE;
    if (!PyBytes_Check(object)) return UNUSUAL;
    if (PyBytes_AsStringAndSize(object, &data, &n)) return FAILED;
    if (n > MOST_BYTES) return UNUSUAL;
    *span = (Span){data, (size_t)n, 0};
    *length = n;
    return DONE;
}

static int put_bytes_or_none(Out *out, PyObject *object) {
    Span span;
    int64_t length;
    int done = bytes_or_none(object, &span, &length);
    if (!done) done = reserve(out, VARINT_BYTES + span.n);
    if (done) return done;
    put_varint(out, length);
    put(out, span.p, span.n);
    return DONE;
}

/* The headers of a record, their number first. UNUSUAL if a name is not UTF-8. headers: NULL for none. */
static int put_headers(Out *out, PyObject *headers) {
    if (headers != NULL && !PyList_Check(headers)) return UNUSUAL;
    Py_ssize_t count = headers == NULL ? 0 : PyList_Size(headers);
    if (reserve(out, VARINT_BYTES)) return FAILED;
    put_varint(out, count);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *header = PyList_GetItem(headers, i);
        Span name;
        if (header == NULL) return FAILED;
        if (!PyTuple_Check(header) || PyTuple_Size(header) != 2) return UNUSUAL;
        int done = utf8(PyTuple_GetItem(header, 0), &name);
        if (!done) done = reserve(out, VARINT_BYTES + name.n);
        if (done) return done;
        put_varint(out, (int64_t)name.n);
        put(out, name.p, name.n);
        done = put_bytes_or_none(out, PyTuple_GetItem(header, 1));
        if (done) return done;
    }
    return DONE;
}

#define KNOWN_HEADERS 4

/* Headers as bytes. Many records share a list of headers, so the lists that were written last are remembered. No Python
 * code runs while a batch is written, so that a list stays as it is. */
typedef struct {
    PyObject *lists[KNOWN_HEADERS]; /* borrowed; NULL also stands for no headers */
    Out bytes[KNOWN_HEADERS];       /* nothing if there is no list yet */
    int next;
} Headers;

/* The bytes of headers. Returns as put_headers. */
static int headers_bytes(Headers *known, PyObject *headers, Span *span) {
    Out *bytes = NULL;
    for (int i = 0; i < KNOWN_HEADERS && bytes == NULL; i++)
        if (known->lists[i] == headers && known->bytes[i].used) bytes = &known->bytes[i];
    if (bytes == NULL) {
        bytes = &known->bytes[known->next];
        known->lists[known->next] = headers;
        known->next = (known->next + 1) % KNOWN_HEADERS;
        bytes->used = 0;
        int done = put_headers(bytes, headers);
        if (done) return done;
    }
    *span = (Span){(char *)bytes->data, bytes->used, 0};
    return DONE;
}

typedef struct {
    Span key, value, headers;
    int64_t key_length, value_length; /* -1 for None */
} Record;

/* Look at a record. UNUSUAL if only the Python form may take it. headers: NULL for none. */
static int look_at(Record *record, PyObject *key, PyObject *value, PyObject *headers, Headers *known) {
    int done = bytes_or_none(key, &record->key, &record->key_length);
    if (!done) done = bytes_or_none(value, &record->value, &record->value_length);
    return done ? done : headers_bytes(known, headers, &record->headers);
}

/* The bytes that follow a record's length. offset: its place in the batch. */
static size_t record_bytes(const Record *record, Py_ssize_t offset) {
    return 2 + varint_bytes(offset) + varint_bytes(record->key_length) + record->key.n +
           varint_bytes(record->value_length) + record->value.n + record->headers.n;
}

/* There is room for it. */
static void put_record(Out *out, const Record *record, Py_ssize_t offset) {
    put_varint(out, (int64_t)record_bytes(record, offset));
    put_byte(out, 0);   /* attributes */
    put_varint(out, 0); /* all records have the timestamp of the batch */
    put_varint(out, offset);
    put_varint(out, record->key_length);
    put(out, record->key.p, record->key.n);
    put_varint(out, record->value_length);
    put(out, record->value.p, record->value.n);
    put(out, record->headers.p, record->headers.n);
}

PyDoc_STRVAR(record_set_doc, "record_set(keys, values, headers, start, limit) -> (records, end)");

/* See Codecs.record_set in worker/native/__init__.py. */
static PyObject *record_set(PyObject *module, PyObject *args) {
    PyObject *keys, *values, *headers, *built = NULL;
    Py_ssize_t start, limit;
    Out batch = {0};
    Headers known = {0};
    int done = DONE;
    if (!PyArg_ParseTuple(args, "O!O!O!nn", &PyList_Type, &keys, &PyList_Type, &values, &PyList_Type, &headers, &start,
                          &limit))
        return NULL;
    if (start < 0 || limit < 0) return PyErr_Format(PyExc_ValueError, "start and limit are not negative");
    if (reserve(&batch, HEADER_BYTES)) return NULL;
    memset(batch.data, 0, HEADER_BYTES);
    batch.used = HEADER_BYTES;
    Py_ssize_t next = start;
    for (; !done && next < PyList_Size(keys); next++) {
        PyObject *key = PyList_GetItem(keys, next), *value = PyList_GetItem(values, next), *these = NULL;
        Record record;
        done = key == NULL || value == NULL ? FAILED : DONE;
        if (!done && PyList_Size(headers)) {
            these = PyList_GetItem(headers, next);
            if (these == NULL) done = FAILED;
        }
        if (!done) done = look_at(&record, key, value, these, &known);
        if (done) break;
        size_t whole = record_bytes(&record, next - start);
        whole += varint_bytes((int64_t)whole);
        if (next > start && batch.used + whole >= (size_t)limit) break; /* as aiokafka does */
        if (batch.used + whole > MOST_BYTES) {
            PyErr_SetString(PyExc_OverflowError, "a record batch is too long");
            done = FAILED;
        } else {
            done = reserve(&batch, whole);
        }
        if (!done) put_record(&batch, &record, next - start);
    }
    if (done != FAILED)
        built = Py_BuildValue("Nn", PyByteArray_FromStringAndSize((char *)batch.data, (Py_ssize_t)batch.used), next);
    PyMem_Free(batch.data);
    for (int i = 0; i < KNOWN_HEADERS; i++) PyMem_Free(known.bytes[i].data);
    return built;
}

PyDoc_STRVAR(crc32c_doc, "crc32c(data, start) -> int");

/* See Codecs.crc32c in worker/native/__init__.py. */
static PyObject *crc32c(PyObject *module, PyObject *args) {
    Py_buffer view;
    Py_ssize_t start;
    if (!PyArg_ParseTuple(args, "y*n", &view, &start)) return NULL;
    PyObject *crc = NULL;
    if (start < 0 || start > view.len)
        PyErr_SetString(PyExc_ValueError, "start is not within the data");
    else
        crc = PyLong_FromUnsignedLong(
            crc_update(0xFFFFFFFFu, (uint8_t *)view.buf + start, (size_t)(view.len - start)) ^ 0xFFFFFFFFu);
    PyBuffer_Release(&view);
    return crc;
}

/* ---- Reading plain JSON objects --------------------------------------------------------------------------------- */

#define MOST_OBJECT_BYTES 65536
#define MOST_LEVELS 16
#define MOST_FIELDS 16
#define MOST_ID_CHARACTERS 100
#define MOST_DIGITS 18 /* so that an amount has 63 bits */

/* The rest of a text. The functions below return whether what they look for is next, in its usual form, and go past it.
 * They accept less than the Python form does, and never anything that it refuses. */
typedef struct {
    const char *p, *end;
} Json;

static void skip_space(Json *json) {
    while (json->p < json->end && (*json->p == ' ' || *json->p == '\n' || *json->p == '\r' || *json->p == '\t'))
        json->p++;
}

static int next_is(Json *json, char byte) {
    skip_space(json);
    if (json->p == json->end || *json->p != byte) return 0;
    json->p++;
    return 1;
}

/* A string of printable ASCII without escapes. */
static int read_text(Json *json, Span *span) {
    if (!next_is(json, '"')) return 0;
    const char *start = json->p;
    for (; json->p < json->end; json->p++) {
        uint8_t byte = (uint8_t)*json->p;
        if (byte == '"') {
            *span = (Span){start, (size_t)(json->p++ - start), 0};
            return 1;
        }
        if (byte < 0x20 || byte == '\\' || byte >= 0x7F) return 0;
    }
    return 0;
}

static int read_word(Json *json, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(json->end - json->p) < n || memcmp(json->p, word, n)) return 0;
    json->p += n;
    return 1;
}

static int skip_digits(Json *json) {
    const char *start = json->p;
    while (json->p < json->end && *json->p >= '0' && *json->p <= '9') json->p++;
    return json->p > start;
}

static int skip_number(Json *json) {
    read_word(json, "-");
    if (!read_word(json, "0") && !skip_digits(json)) return 0;
    if (read_word(json, ".") && !skip_digits(json)) return 0;
    if (!read_word(json, "e") && !read_word(json, "E")) return 1;
    if (!read_word(json, "+")) read_word(json, "-");
    return skip_digits(json);
}

/* A value of any kind that nobody asks for. levels: how many more may be nested. */
static int skip_value(Json *json, int levels) {
    Span text;
    if (next_is(json, '"')) {
        json->p--;
        return read_text(json, &text);
    }
    int is_object = next_is(json, '{');
    if (!is_object && !next_is(json, '['))
        return read_word(json, "null") || read_word(json, "true") || read_word(json, "false") || skip_number(json);
    char end = is_object ? '}' : ']';
    if (levels == 0) return 0;
    if (next_is(json, end)) return 1;
    do {
        if (is_object && !(read_text(json, &text) && next_is(json, ':'))) return 0;
        if (!skip_value(json, levels - 1)) return 0;
    } while (next_is(json, ','));
    return next_is(json, end);
}

static int same(Span one, Span other) { return one.n == other.n && !memcmp(one.p, other.p, one.n); }

/* The object of an amount and its currency, as texts. names: of these two fields. */
static int read_money(Json *json, const Span names[2], Span found[2]) {
    int have[2] = {0, 0};
    Span name;
    if (!next_is(json, '{')) return 0;
    do {
        if (!read_text(json, &name) || !next_is(json, ':')) return 0;
        int which = same(name, names[1]);
        if (have[which]++ || !same(name, names[which]) || !read_text(json, &found[which])) return 0;
    } while (next_is(json, ','));
    return have[0] && have[1] && next_is(json, '}');
}

/* The figure of `n` digits. */
static int figure(const char *p, int n, int64_t *number) {
    *number = 0;
    for (; n; n--, p++) {
        if (*p < '0' || *p > '9') return 0;
        *number = *number * 10 + (*p - '0');
    }
    return 1;
}

/* Minor units of an amount such as 129.90, with exactly as many digits after the point as the currency has. */
static int minor_units(Span amount, long long digits, int64_t *minor) {
    if (digits < 0 || amount.n > MOST_DIGITS) return 0;
    int64_t n = (int64_t)amount.n, whole = digits ? n - digits - 1 : n, fraction = 0;
    int64_t power = 1;
    if (whole < 1 || whole > 15) return 0;
    if (digits && (amount.p[whole] != '.' || !figure(amount.p + whole + 1, (int)digits, &fraction))) return 0;
    if (!figure(amount.p, (int)whole, minor)) return 0;
    for (; digits; digits--) power *= 10;
    *minor = *minor * power + fraction;
    return 1;
}

/* Milliseconds since 1970 of 2026-11-24T10:15:30Z, or with .123 before the Z. The years are 1900 to 9999. */
static int milliseconds(Span time, int64_t *ms) {
    static const int days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int64_t year, month, day, hour, minute, second, fraction = 0;
    const char *p = time.p;
    if (time.n != 20 && time.n != 24) return 0;
    if (p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[16] != ':' || p[time.n - 1] != 'Z') return 0;
    if (!figure(p, 4, &year) || !figure(p + 5, 2, &month) || !figure(p + 8, 2, &day) || !figure(p + 11, 2, &hour) ||
        !figure(p + 14, 2, &minute) || !figure(p + 17, 2, &second))
        return 0;
    if (time.n == 24 && (p[19] != '.' || !figure(p + 20, 3, &fraction))) return 0;
    if (year < 1900 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return 0;
    int leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    int leap_day = leap_year && month == 2;
    if (day > days_before[month] - days_before[month - 1] + leap_day) return 0;
    int64_t years = year - 1; /* whole ones since year 1, whose leap days count */
    int64_t days = years * 365 + years / 4 - years / 100 + years / 400 - 719162; /* to 1970-01-01 */
    days += days_before[month - 1] + (leap_year && month > 2) + day - 1;
    *ms = ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000 + fraction;
    return 1;
}

static int read_id(Json *json, Span *id) {
    return read_text(json, id) && id->n >= 1 && id->n <= MOST_ID_CHARACTERS;
}

static PyObject *text_of(Span span) { return PyUnicode_FromStringAndSize(span.p, (Py_ssize_t)span.n); }

/* Put what was read into the arguments. Takes the reference. */
static int put_argument(PyObject *arguments, Py_ssize_t *at, PyObject *argument) {
    return argument == NULL || PyTuple_SetItem(arguments, (*at)++, argument) ? FAILED : DONE;
}

/* Puts amount and currency into the arguments. UNUSUAL if the currency is unknown, or the amount is in another form. */
static int put_money(PyObject *arguments, Py_ssize_t *at, Span money[2], PyObject *digits_of) {
    PyObject *currency = text_of(money[1]);
    if (currency == NULL) return FAILED;
    PyObject *digits = PyDict_GetItemWithError(digits_of, currency);
    long long places;
    int64_t minor;
    int done = digits != NULL ? whole_number(digits, &places) : PyErr_Occurred() ? FAILED : UNUSUAL;
    if (!done && !minor_units(money[0], places, &minor)) done = UNUSUAL;
    if (!done) done = put_argument(arguments, at, PyLong_FromLongLong(minor));
    if (!done) return put_argument(arguments, at, currency);
    Py_DECREF(currency);
    return done;
}

/* Which fields an object has. kinds: a letter for each. arguments: how many the fields are for a function. */
typedef struct {
    Span names[MOST_FIELDS], money_names[2];
    const char *kinds;
    Py_ssize_t count, arguments;
    PyObject *digits_of;
} Fields;

static int names_of(PyObject *tuple, Py_ssize_t count, Span *names) {
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GetItem(tuple, i);
        int64_t length;
        if (name == NULL) return FAILED;
        if (bytes_or_none(name, &names[i], &length) || length < 0) {
            PyErr_SetString(PyExc_TypeError, "a name of a field is not bytes");
            return FAILED;
        }
    }
    return DONE;
}

static int fields_of(PyObject *tuple, Fields *fields) {
    PyObject *names, *money_names;
    if (!PyArg_ParseTuple(tuple, "O!y#O!O!", &PyTuple_Type, &names, &fields->kinds, &fields->count, &PyTuple_Type,
                          &money_names, &PyDict_Type, &fields->digits_of))
        return FAILED;
    if (fields->count > MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return FAILED;
    }
    for (Py_ssize_t i = 0; i < fields->count; i++)
        fields->arguments += fields->kinds[i] == 'm' ? 2 : fields->kinds[i] != 'x';
    return names_of(names, fields->count, fields->names) || names_of(money_names, 2, fields->money_names) ? FAILED : DONE;
}

/* Read one object. found: what each field holds. have: 1 for a field that is there, -1 for one that is null. */
static int read_object(Json json, const Fields *fields, Span found[][2], int *have) {
    if (!next_is(&json, '{')) return 0;
    do {
        Span name;
        Py_ssize_t field = 0;
        int usual = 0, null;
        if (!read_text(&json, &name) || !next_is(&json, ':')) return 0;
        while (field < fields->count && !same(name, fields->names[field])) field++;
        if (field == fields->count) {
            usual = skip_value(&json, MOST_LEVELS);
        } else if (!have[field]) { /* a field that comes twice is not usual */
            have[field] = 1;
            switch (fields->kinds[field]) {
                case 'd': usual = read_id(&json, found[field]); break;
                case 'm': usual = read_money(&json, fields->money_names, found[field]); break;
                case 't': usual = read_text(&json, found[field]); break;
                case 'o':
                    null = next_is(&json, 'n');
                    if (null) have[field] = -1;
                    usual = null ? read_word(&json, "ull") : read_id(&json, found[field]);
            }
        }
        if (!usual) return 0;
    } while (next_is(&json, ','));
    if (!next_is(&json, '}')) return 0;
    skip_space(&json);
    return json.p == json.end;
}

/* Put what an object holds into a tuple of arguments. */
static int put_arguments(Json json, const Fields *fields, PyObject *arguments) {
    Span found[MOST_FIELDS][2];
    int have[MOST_FIELDS] = {0}, done = DONE;
    Py_ssize_t at = 0;
    if (!read_object(json, fields, found, have)) return UNUSUAL;
    for (Py_ssize_t field = 0; field < fields->count && !done; field++) {
        char kind = fields->kinds[field];
        int64_t ms;
        if (kind == 'x') continue;
        if (have[field] == 1 && kind == 'm') {
            done = put_money(arguments, &at, found[field], fields->digits_of);
        } else if (have[field] == 1 && kind == 't') {
            done = milliseconds(*found[field], &ms) ? put_argument(arguments, &at, PyLong_FromLongLong(ms)) : UNUSUAL;
        } else if (have[field] == 1) {
            done = put_argument(arguments, &at, text_of(*found[field]));
        } else if (kind == 'o') {
            Py_INCREF(Py_None);
            done = put_argument(arguments, &at, Py_None);
        } else {
            done = UNUSUAL;
        }
    }
    return done;
}

PyDoc_STRVAR(objects_doc, "objects(fields, make, values) -> list");

/* See Codecs.objects in worker/native/__init__.py. */
static PyObject *objects(PyObject *module, PyObject *args) {
    PyObject *fields_tuple, *make, *values;
    Fields fields = {0};
    if (!PyArg_ParseTuple(args, "O!OO!", &PyTuple_Type, &fields_tuple, &make, &PyList_Type, &values)) return NULL;
    if (fields_of(fields_tuple, &fields)) return NULL;
    PyObject *found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && i < PyList_Size(values); i++) {
        PyObject *value = PyList_GetItem(values, i), *made = NULL, *arguments = PyTuple_New(fields.arguments);
        Span span;
        int64_t length;
        int done = value == NULL || arguments == NULL ? FAILED : bytes_or_none(value, &span, &length);
        if (!done && (length <= 0 || length > MOST_OBJECT_BYTES)) done = UNUSUAL;
        if (!done) done = put_arguments((Json){span.p, span.p + span.n}, &fields, arguments);
        if (!done) made = PyObject_Call(make, arguments, NULL);
        if (done == UNUSUAL) {
            made = Py_None;
            Py_INCREF(made);
        }
        if (made == NULL || PyList_Append(found, made)) Py_CLEAR(found);
        Py_XDECREF(made);
        Py_XDECREF(arguments);
    }
    return found;
}

/* ---- Reading record batches ------------------------------------------------------------------------------------- */

/* The rest of uncompressed records. The functions below return whether what they look for is next, and go past it. */
typedef struct {
    const uint8_t *p, *end;
} Records;

static int read_varint(Records *in, int64_t *number) {
    uint64_t zigzag = 0;
    for (int shift = 0; shift <= 63 && in->p < in->end; shift += 7) {
        uint8_t byte = *in->p++;
        if (shift == 63 && byte > 1) return 0;
        zigzag |= (uint64_t)(byte & 127) << shift;
        if (byte & 128) continue;
        *number = (int64_t)(zigzag >> 1 ^ (zigzag & 1 ? UINT64_MAX : 0));
        return 1;
    }
    return 0;
}

/* A key or a value; p is NULL for None. */
static int read_bytes(Records *in, Span *span) {
    int64_t length;
    if (!read_varint(in, &length) || length < -1 || length > in->end - in->p) return 0;
    *span = length < 0 ? (Span){0} : (Span){(const char *)in->p, (size_t)length, 0};
    in->p += span->n;
    return 1;
}

/* What is the same for all records of a call. */
typedef struct {
    PyObject *make, *topic, *partition, *no_headers;
    int64_t offset, timestamp; /* of the first record */
    int stamped;               /* whether all records have that timestamp */
    size_t most_bytes;         /* of a key and a value */
} Common;

static PyObject *object_of(Span span) {
    if (span.p != NULL) return PyBytes_FromStringAndSize(span.p, (Py_ssize_t)span.n);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *made_record(const Common *common, int64_t offset, int64_t timestamp, Span key, Span value) {
    PyObject *arguments = PyTuple_New(7), *made = NULL;
    Py_ssize_t at = 0;
    if (arguments == NULL) return NULL;
    Py_INCREF(common->topic);
    Py_INCREF(common->partition);
    Py_INCREF(common->no_headers);
    PyTuple_SetItem(arguments, at++, common->topic);
    PyTuple_SetItem(arguments, at++, common->partition);
    PyTuple_SetItem(arguments, 6, common->no_headers);
    if (!put_argument(arguments, &at, PyLong_FromLongLong(offset)) &&
        !put_argument(arguments, &at, PyLong_FromLongLong(timestamp)) &&
        !put_argument(arguments, &at, object_of(key)) && !put_argument(arguments, &at, object_of(value)))
        made = PyObject_Call(common->make, arguments, NULL);
    Py_DECREF(arguments);
    return made;
}

/* Read one record, and append it unless its offset is less than *first, which then becomes the next offset. */
static int put_next(Records *in, const Common *common, int64_t *first, PyObject *found) {
    int64_t length, timestamp, offset, headers;
    Span key, value;
    if (!read_varint(in, &length) || length < 1 || length > in->end - in->p) return UNUSUAL;
    Records one = {in->p + 1, in->p + length}; /* after the attributes */
    in->p = one.end;
    if (!read_varint(&one, &timestamp) || !read_varint(&one, &offset) || !read_bytes(&one, &key) ||
        !read_bytes(&one, &value) || !read_varint(&one, &headers) || headers != 0 || one.p != one.end)
        return UNUSUAL;
    if (key.n > common->most_bytes || value.n > common->most_bytes - key.n) return UNUSUAL;
    if (offset < 0 || common->offset < 0 || offset >= INT64_MAX - common->offset) return UNUSUAL;
    if (timestamp < 0 ? common->timestamp < INT64_MIN - timestamp : common->timestamp > INT64_MAX - timestamp)
        return UNUSUAL;
    offset += common->offset;
    timestamp = common->stamped ? common->timestamp : common->timestamp + timestamp;
    if (offset < *first) return DONE;
    *first = offset + 1;
    PyObject *made = made_record(common, offset, timestamp, key, value);
    int done = made == NULL || PyList_Append(found, made) ? FAILED : DONE;
    Py_XDECREF(made);
    return done;
}

PyDoc_STRVAR(records_doc,
             "records(make, topic, partition, offset, timestamp, stamped, first, most_bytes, data, start, count)\n"
             "-> (records, end)");

/* See Codecs.records in worker/native/__init__.py. */
static PyObject *records(PyObject *module, PyObject *args) {
    Common common = {0};
    long long offset, timestamp, first;
    Py_ssize_t start, count, most_bytes;
    Py_buffer view;
    PyObject *built = NULL;
    if (!PyArg_ParseTuple(args, "OOOLLpLny*nn", &common.make, &common.topic, &common.partition, &offset, &timestamp,
                          &common.stamped, &first, &most_bytes, &view, &start, &count))
        return NULL;
    common.offset = offset, common.timestamp = timestamp, common.most_bytes = (size_t)most_bytes;
    int64_t next = first;
    int done = DONE;
    PyObject *found = PyList_New(0);
    common.no_headers = PyTuple_New(0);
    if (found == NULL || common.no_headers == NULL) {
        done = FAILED;
    } else if (start < 0 || start > view.len || most_bytes < 0) {
        PyErr_SetString(PyExc_ValueError, "start is not within the data, or most_bytes is negative");
        done = FAILED;
    } else {
        Records in = {(const uint8_t *)view.buf + start, (const uint8_t *)view.buf + view.len};
        for (; !done && count > 0; count--) done = put_next(&in, &common, &next, found);
        if (!done) built = Py_BuildValue("On", found, (Py_ssize_t)(in.p - (const uint8_t *)view.buf));
    }
    PyBuffer_Release(&view);
    Py_XDECREF(found);
    Py_XDECREF(common.no_headers);
    if (done != UNUSUAL) return built;
    Py_RETURN_NONE;
}

#include "counting.h"

/* ---- The module ------------------------------------------------------------------------------------------------- */

static int load(PyObject *module) {
    make_crc_table();
    if (make_names()) return FAILED;
#ifdef X86
    unsigned a, b, c, d; /* of cpuid's leaf 7; bit 29 of b is SHA */
    if (__builtin_cpu_supports("sse4.2")) crc_update = crc_sse42;
    if (__builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1)
        sha1_block = sha1_sha_ni;
#endif
    return PyModule_AddStringConstant(module, "SOURCE", SOURCE);
}

static PyMethodDef methods[] = {
    {"texts", texts, METH_VARARGS, texts_doc},
    {"record_set", record_set, METH_VARARGS, record_set_doc},
    {"objects", objects, METH_VARARGS, objects_doc},
    {"records", records, METH_VARARGS, records_doc},

    {"count_orders", count_orders, METH_VARARGS, count_orders_doc},
    {"crc32c", crc32c, METH_VARARGS, crc32c_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, load}, {0, NULL}};

static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "compiled",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit_compiled(void) { return PyModuleDef_Init(&definition); }
