/* Runs of usual orders: from decoded orders to the rows and events of a batch, without Python in between.
 *
 * Rules:
 * - It is the second form of `usual_orders.take` (agents) with `count_usual` (worker.domain). Here alone C knows a rule of
 *   the business and names of fields (docs/decisions/0035). Tests hold both forms equal.
 * - It decides and makes all texts of an order before it changes anything. So an order that is not usual, or holds an odd
 *   text, leaves no trace, and the Python form handles it.
 * - What happens on a customer's first order of a day is left to Python, because it moves days and years.
 */

#define DAY_MS 86400000LL

#define NAMES(X)                                                                                                      \
    X(amount) X(annual) X(annual_day) X(at) X(behind) X(converted) X(correlation_id) X(currency) X(customer)          \
    X(customer_id) X(days) X(debt) X(erased) X(event_id) X(filled) X(key) X(last) X(last_order_at) X(level)           \
    X(lifetime_earned) X(mark_at) X(occurred_at) X(order_count) X(order_id) X(partition) X(points) X(queued)          \
    X(releasing) X(returned) X(returned_days) X(returns_of) X(sequence) X(spending) X(timestamp) X(total) X(tracked)  \
    X(updated_at) X(version) X(vip_since) X(waiting)

#define PLACES 2

/* The name of an attribute, and the places of this attribute in objects of the first types that it was asked of. */
typedef struct {
    PyObject *text;
    int known; /* how many places are filled */
    struct {
        PyTypeObject *type;
        Py_ssize_t offset; /* of the field in an object, in bytes; 0: Python has to look the attribute up */
        int writable;      /* whether Python has set the field before, and stored the value as it was given */
    } places[PLACES];
} Name;

#define DECLARE(name) static Name name_##name[1];
NAMES(DECLARE)
#undef DECLARE

static int make_names(void) {
#define MAKE(name) \
    if ((name_##name->text = PyUnicode_InternFromString(#name)) == NULL) return FAILED;
    NAMES(MAKE)
#undef MAKE
    return DONE;
}

/* ---- References and attributes ---------------------------------------------------------------------------------- */

#define MOST_HELD 48

/* The references that one order needs, given back together. */
typedef struct {
    PyObject *objects[MOST_HELD];
    int count;
} Held;

/* Takes the reference; NULL if it is NULL. */
static PyObject *hold(Held *held, PyObject *object) {
    if (object != NULL && held->count == MOST_HELD) {
        Py_DECREF(object);
        PyErr_SetString(PyExc_SystemError, "too many references");
        return NULL;
    }
    if (object != NULL) held->objects[held->count++] = object;
    return object;
}

static void give_back(Held *held) {
    while (held->count) Py_DECREF(held->objects[--held->count]);
}

/* The offset of a field in the objects of a type; 0 if the attribute is no field.
 *
 * A field is what a class lists in `__slots__`, as Structs do. Its descriptor reads the object at this offset.
 */
static Py_ssize_t offset_of(PyTypeObject *type, PyObject *name) {
    PyObject *descriptor = PyObject_GetAttr((PyObject *)type, name);
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    int is_field = descriptor != NULL && Py_TYPE(descriptor) == &PyMemberDescr_Type && text != NULL;
    Py_XDECREF(descriptor);
    PyErr_Clear();
    if (!is_field || (getattrofunc)PyType_GetSlot(type, Py_tp_getattro) != PyObject_GenericGetAttr) return 0;
    for (PyTypeObject *each = type; each != NULL; each = PyType_GetSlot(each, Py_tp_base)) {
        const PyMemberDef *member = PyType_GetSlot(each, Py_tp_members);
        for (; member != NULL && member->name != NULL; member++)
            if (!strcmp(member->name, text)) return member->type == T_OBJECT_EX ? member->offset : 0;
    }
    return 0;
}

/* The number of this type's place. PLACES: it has none, because other types came first. */
static int place_of(PyTypeObject *type, Name *name) {
    for (int i = 0; i < name->known; i++)
        if (name->places[i].type == type) return i;
    if (name->known == PLACES) return PLACES;
    Py_INCREF((PyObject *)type); /* for good, so that no other type gets its address */
    name->places[name->known].type = type;
    name->places[name->known].offset = offset_of(type, name->text);
    return name->known++;
}

/* The field of an object; NULL if Python has to look it up. */
static PyObject **field_of(PyObject *object, Name *name, int *place) {
    *place = place_of(Py_TYPE(object), name);
    if (*place == PLACES || !name->places[*place].offset) return NULL;
    return (PyObject **)((char *)object + name->places[*place].offset);
}

/* A new reference to the value of an attribute. */
static PyObject *attribute_of(PyObject *object, Name *name) {
    int place;
    PyObject **field = field_of(object, name, &place);
    if (field == NULL || *field == NULL) return PyObject_GetAttr(object, name->text);
    Py_INCREF(*field);
    return *field;
}

static PyObject *attribute(Held *held, PyObject *object, Name *name) { return hold(held, attribute_of(object, name)); }

static int number_of(PyObject *object, Name *name, long long *number) {
    PyObject *found = attribute_of(object, name);
    if (found == NULL) return FAILED;
    int done = whole_number(found, number);
    Py_DECREF(found);
    return done;
}

/* DONE if the attribute is this object. */
static int is(PyObject *object, Name *name, PyObject *expected) {
    PyObject *found = attribute_of(object, name);
    Py_XDECREF(found); /* its owner keeps it */
    return found == NULL ? FAILED : found == expected ? DONE : UNUSUAL;
}

static int is_zero(PyObject *object, Name *name) {
    long long number = 0;
    int done = number_of(object, name, &number);
    return done || !number ? done : UNUSUAL;
}

/* DONE if the attribute is a dict without an item. */
static int is_empty(PyObject *object, Name *name) {
    PyObject *found = attribute_of(object, name);
    if (found == NULL) return FAILED;
    int empty = PyDict_Check(found) && !PyDict_Size(found);
    Py_DECREF(found);
    return empty ? DONE : UNUSUAL;
}

/* Set an attribute to a value that refers to no other object. Takes the reference. */
static int set(PyObject *object, Name *name, PyObject *value) {
    int place;
    PyObject **field = field_of(object, name, &place);
    if (value == NULL) return FAILED;
    if (field != NULL && name->places[place].writable) {
        PyObject *before = *field;
        *field = value;
        Py_XDECREF(before);
        return DONE;
    }
    int done = PyObject_SetAttr(object, name->text, value) ? FAILED : DONE;
    if (!done && field != NULL) name->places[place].writable = *field == value;
    Py_DECREF(value);
    return done;
}

static int set_number(PyObject *object, Name *name, long long number) {
    return set(object, name, PyLong_FromLongLong(number));
}

/* The item of a dict, held. UNUSUAL if there is none. */
static int item(Held *held, PyObject *dict, PyObject *key, PyObject **found) {
    *found = PyDict_GetItemWithError(dict, key);
    if (*found == NULL) return PyErr_Occurred() ? FAILED : UNUSUAL;
    Py_INCREF(*found);
    return hold(held, *found) == NULL ? FAILED : DONE;
}

/* DONE if both are equal. */
static int equal(PyObject *one, PyObject *other) {
    int same = PyObject_RichCompareBool(one, other, Py_EQ);
    return same < 0 ? FAILED : same ? DONE : UNUSUAL;
}

/* ---- The facts of a batch --------------------------------------------------------------------------------------- */

/* See `facts` in agents/usual_orders.py. */
typedef struct {
    PyObject *unit;                    /* its attribute `at` is the record at hand */
    PyObject *homes, *rows, *changed;  /* dicts of customers: partition and key; rows; those that were changed */
    PyObject *lines, *moments, *versions, *fresh_moments, *fresh_versions; /* the ledger and its indexes */
    PyObject *events, *outgoing;       /* the list of what is sent, and its type */
    PyObject *plain, *earning;         /* the texts, and the events' headers, of an order without points and with */
    PyObject *rules, *levels;          /* rule sets by their first day; levels by their rank */
    PyObject *annual_at, *begin_day;   /* functions */
    PyObject *time, *now;              /* when the batch is processed, as text and in ms */
    long long ahead_ms;                /* how far an order's time may be after its record's */
    PyObject *looked_up;               /* dict of the ledger lines that were read */
} Facts;

static int read_facts(PyObject *tuple, Facts *facts) {
    return PyArg_ParseTuple(tuple, "OO!O!O!O!O!O!O!O!O!OO!O!O!O!OOUO!L", &facts->unit, &PyDict_Type, &facts->homes,
                            &PyDict_Type, &facts->rows, &PyDict_Type, &facts->changed, &PyDict_Type, &facts->lines,
                            &PyDict_Type, &facts->moments, &PyDict_Type, &facts->versions, &PyList_Type,
                            &facts->fresh_moments, &PyList_Type, &facts->fresh_versions, &PyList_Type, &facts->events,
                            &facts->outgoing, &PyTuple_Type, &facts->plain, &PyTuple_Type, &facts->earning,
                            &PyTuple_Type, &facts->rules, &PyTuple_Type, &facts->levels, &facts->annual_at,
                            &facts->begin_day, &facts->time, &PyLong_Type, &facts->now, &facts->ahead_ms)
               ? DONE
               : FAILED;
}

/* A rule set. next: for each rank of a level the total from which on a higher one is reached. */
typedef struct {
    PyObject *version, *currency, *next; /* next is NULL until a rule set is read */
    long long first_day, a_point, vip_spending;
    long long from, until; /* it is in force on each day with from <= day < until */
    int known, digits, by_year;
} RuleSet;

/* The rule set in force on a day: the last that has begun, or else the first.
 *
 * rules: what the last order had. It stays, if it is in force on this day, too.
 */
static int rules_on(const Facts *facts, long long day, RuleSet *rules) {
    if (rules->next != NULL && rules->from <= day && day < rules->until) return DONE;
    rules->next = NULL;
    rules->until = LLONG_MAX;
    for (Py_ssize_t i = PyTuple_Size(facts->rules) - 1; i >= 0; i--, rules->until = rules->first_day) {
        PyObject *tuple = PyTuple_GetItem(facts->rules, i);
        if (!PyTuple_Check(tuple)) return wrong_form("a rule set is no tuple");
        if (!PyArg_ParseTuple(tuple, "LpUUiLO!Lp", &rules->first_day, &rules->known, &rules->version, &rules->currency,
                              &rules->digits, &rules->a_point, &PyTuple_Type, &rules->next, &rules->vip_spending,
                              &rules->by_year))
            return FAILED;
        if (rules->first_day > day && i > 0) continue;
        rules->from = i > 0 ? rules->first_day : LLONG_MIN;
        if (rules->known && rules->a_point > 0 && rules->digits >= 0 && rules->digits <= 9) return DONE;
        break;
    }
    rules->next = NULL;
    return UNUSUAL;
}

static long long day_of(long long ms) { return ms >= 0 ? ms / DAY_MS : -((DAY_MS - 1 - ms) / DAY_MS); }

/* ---- One order -------------------------------------------------------------------------------------------------- */

/* The places of the values in templates: those of worker.domain.usual.Counted. */
enum {
    CUSTOMER_ID, ORDER_ID, EVENT_ID, CORRELATION_ID, AMOUNT, CURRENCY, TOTAL, ANNUAL, POINTS, BALANCE, DEBT, OCCURRED_AT,
    RULES_VERSION, SEQUENCE, VERSION, AT, LEVEL, VIP, NEW_DAY, COUNTED,
};

/* What is known of an order before it counts. */
typedef struct {
    PyObject *record, *order, *line_key, *customer_id, *record_key, *row, *customer, *spending, *days;
    PyObject *occurred_at, *level;
    long long day, latest, rank, gross; /* gross: the total with what was returned */
    long long last_day, of_day, mark, lifetime, count; /* before the order */
    Values values;
} Order;

#define TRY(action)              \
    do {                         \
        int result = (action);   \
        if (result) return result; \
    } while (0)
#define NUMBER(order, place) ((order)->values.values[place].number)

/* text: NULL after an error; else it lives as long as the order. */
static int put_text(Order *order, int place, PyObject *text) {
    return text == NULL ? FAILED : utf8_looked_at(text, &order->values.values[place].text);
}

/* Whether the order came to the partition of its customer, who is registered and free, and has no such order. */
static int is_at_home(const Facts *facts, Held *held, Order *order) {
    PyObject *home, *line, *key;
    long long mine, partition, sent;
    if ((order->customer_id = attribute(held, order->order, name_customer_id)) == NULL) return FAILED;
    TRY(item(held, facts->homes, order->customer_id, &home));
    if (!PyTuple_Check(home) || PyTuple_Size(home) != 2) return UNUSUAL;
    order->record_key = PyTuple_GetItem(home, 1);
    TRY(whole_number(PyTuple_GetItem(home, 0), &mine));
    TRY(number_of(order->record, name_partition, &partition));
    if (mine != partition) return UNUSUAL;
    if ((key = attribute(held, order->record, name_key)) == NULL) return FAILED;
    TRY(equal(key, order->record_key));
    if ((order->occurred_at = attribute(held, order->order, name_occurred_at)) == NULL) return FAILED;
    TRY(whole_number(order->occurred_at, &NUMBER(order, OCCURRED_AT)));
    TRY(number_of(order->record, name_timestamp, &sent));
    if (sent < 0 || sent > INT64_MAX - facts->ahead_ms || NUMBER(order, OCCURRED_AT) > sent + facts->ahead_ms)
        return UNUSUAL;
    int done = item(held, facts->lines, order->line_key, &line);
    if (done != UNUSUAL) return done ? done : UNUSUAL;
    TRY(item(held, facts->looked_up, order->line_key, &line));
    if (line != Py_None) return UNUSUAL;
    TRY(item(held, facts->rows, order->customer_id, &order->row));
    if ((order->customer = attribute(held, order->row, name_customer)) == NULL) return FAILED;
    if (order->customer == Py_None) return UNUSUAL;
    TRY(is_zero(order->row, name_waiting));
    TRY(is_zero(order->row, name_queued));
    TRY(is_zero(order->row, name_behind));
    TRY(is(order->row, name_releasing, Py_None));
    return is(order->row, name_returns_of, Py_None);
}

/* Whether it is the latest order of a customer who has one currency, that of the rules. */
static int is_latest(Held *held, Order *order, const RuleSet *rules) {
    PyObject *currency, *all;
    TRY(number_of(order->customer, name_last_order_at, &order->latest));
    if (NUMBER(order, OCCURRED_AT) < order->latest) return UNUSUAL;
    if ((currency = attribute(held, order->order, name_currency)) == NULL) return FAILED;
    TRY(equal(currency, rules->currency));
    TRY(put_text(order, CURRENCY, currency));
    TRY(is(order->customer, name_erased, Py_False));
    TRY(is(order->customer, name_tracked, Py_True));
    TRY(is_empty(order->customer, name_converted));
    if ((all = attribute(held, order->customer, name_spending)) == NULL) return FAILED;
    if (!PyDict_Check(all) || PyDict_Size(all) != 1) return UNUSUAL;
    TRY(item(held, all, currency, &order->spending));
    TRY(is_empty(order->spending, name_returned_days));
    order->days = attribute(held, order->spending, name_days);
    return order->days == NULL ? FAILED : DONE;
}

/* Sets the gross sums with the order in it. */
static int add_up(const Facts *facts, Held *held, Order *order) {
    long long total, annual, annual_day, amount;
    TRY(number_of(order->order, name_amount, &amount));
    TRY(number_of(order->spending, name_total, &total));
    TRY(number_of(order->spending, name_annual_day, &annual_day));
    TRY(number_of(order->days, name_last, &order->last_day));
    if (order->day == annual_day) {
        TRY(number_of(order->spending, name_annual, &annual));
    } else {
        PyObject *day = hold(held, PyLong_FromLongLong(order->day));
        if (day == NULL) return FAILED;
        PyObject *found = hold(held, PyObject_CallFunctionObjArgs(facts->annual_at, order->spending, day, NULL));
        if (found == NULL) return FAILED;
        TRY(whole_number(found, &annual));
        order->last_day = order->day - 1; /* so that the day begins */
    }
    if (amount < 0 || total < 0 || annual < 0 || total > INT64_MAX - amount || annual > INT64_MAX - amount)
        return UNUSUAL;
    NUMBER(order, AMOUNT) = amount;
    NUMBER(order, ANNUAL) = annual + amount;
    order->gross = total + amount;
    return DONE;
}

/* DONE if neither the level nor VIP moves. */
static int stays(const Facts *facts, Held *held, Order *order, const RuleSet *rules) {
    PyObject *filled, *vip_since, *next;
    long long total = order->gross, vip = rules->vip_spending;
    Py_ssize_t top = PyTuple_Size(facts->levels) - 1;
    if ((order->level = attribute(held, order->customer, name_level)) == NULL) return FAILED;
    for (order->rank = 0; order->rank <= top; order->rank++)
        if (PyTuple_GetItem(facts->levels, order->rank) == order->level) break;
    if (order->rank > top || PyTuple_Size(rules->next) != top + 1) return UNUSUAL;
    next = PyTuple_GetItem(rules->next, order->rank);
    if (next != Py_None) {
        long long reached;
        TRY(whole_number(next, &reached));
        if (total >= reached) return UNUSUAL;
    }
    if ((filled = attribute(held, order->customer, name_filled)) == NULL) return FAILED;
    if ((vip_since = attribute(held, order->customer, name_vip_since)) == NULL) return FAILED;
    NUMBER(order, VIP) = vip_since != Py_None;
    if (filled == Py_None) return total >= vip && (NUMBER(order, ANNUAL) >= vip || !rules->by_year) ? UNUSUAL : DONE;
    if (order->rank != top) return DONE;
    if (vip_since == Py_None) return UNUSUAL;
    long long since, at;
    TRY(whole_number(vip_since, &since));
    TRY(number_of(filled, name_at, &at));
    return at < since ? UNUSUAL : DONE;
}

/* Sets the other values: texts, and numbers after the order. */
static int foresee(const Facts *facts, Held *held, Order *order, const RuleSet *rules) {
    PyObject *event_id, *correlation_id, *customer = order->customer;
    long long points, debt, returned, sequence, version;
    TRY(put_text(order, CUSTOMER_ID, order->customer_id));
    TRY(put_text(order, ORDER_ID, attribute(held, order->order, name_order_id)));
    if ((event_id = attribute(held, order->order, name_event_id)) == NULL) return FAILED;
    if ((correlation_id = attribute(held, order->order, name_correlation_id)) == NULL) return FAILED;
    TRY(put_text(order, EVENT_ID, event_id));
    TRY(put_text(order, CORRELATION_ID, correlation_id == Py_None ? event_id : correlation_id));
    TRY(put_text(order, RULES_VERSION, rules->version));
    TRY(put_text(order, LEVEL, order->level));
    TRY(number_of(customer, name_points, &points));
    TRY(number_of(customer, name_debt, &debt));
    TRY(number_of(customer, name_sequence, &sequence));
    TRY(number_of(customer, name_version, &version));
    TRY(number_of(customer, name_lifetime_earned, &order->lifetime));
    TRY(number_of(customer, name_order_count, &order->count));
    TRY(number_of(order->spending, name_returned, &returned));
    TRY(number_of(order->days, name_amount, &order->of_day));
    TRY(number_of(order->days, name_mark_at, &order->mark));
    long long earned = NUMBER(order, AMOUNT) / rules->a_point, paid_back = earned < debt ? earned : debt;
    if (points < 0 || debt < 0 || returned < 0 || points > INT64_MAX - earned || sequence > INT64_MAX - 2 ||
        version == INT64_MAX || order->lifetime > INT64_MAX - earned || order->count == INT64_MAX ||
        order->of_day > INT64_MAX - NUMBER(order, AMOUNT))
        return UNUSUAL;
    NUMBER(order, TOTAL) = order->gross - returned;
    NUMBER(order, POINTS) = earned;
    NUMBER(order, BALANCE) = points + earned - paid_back;
    NUMBER(order, DEBT) = debt - paid_back;
    NUMBER(order, SEQUENCE) = sequence + (earned ? 2 : 1);
    NUMBER(order, VERSION) = version + 1;
    TRY(whole_number(facts->now, &NUMBER(order, AT)));
    order->values.digits = rules->digits;
    order->values.count = COUNTED;
    return utf8(facts->time, &order->values.time);
}

/* The texts of the order's rows and events, as bytes. made: of texts. headers: of the events. */
static int make_texts(const Facts *facts, Held *held, Order *order, PyObject **made, Py_ssize_t *count,
                      PyObject **headers) {
    PyObject *owner, *form = NUMBER(order, POINTS) ? facts->earning : facts->plain;
    Out out = {0};
    if (!PyArg_ParseTuple(form, "O!O!", &PyTuple_Type, &owner, &PyTuple_Type, headers)) return FAILED;
    const Forms *forms = forms_of(owner);
    if (forms == NULL) return FAILED;
    int done = reserve(&out, USUAL_TEXT_BYTES);
    if (!done) done = make_ids(&out, &order->values, forms);
    for (*count = 0; !done && *count < forms->text_count; (*count)++) {
        out.used = 0;
        done = put_filled(&out, &order->values, &forms->texts[*count]);
        if (done) break;
        made[*count] = hold(held, PyBytes_FromStringAndSize((char *)out.data, (Py_ssize_t)out.used));
        if (made[*count] == NULL) done = FAILED;
    }
    PyMem_Free(out.data);
    return done;
}

/* Let the order count. */
static int change_customer(const Facts *facts, Order *order) {
    PyObject *customer = order->customer, *spending = order->spending;
    long long earned = NUMBER(order, POINTS);
    if (earned) {
        TRY(set_number(customer, name_points, NUMBER(order, BALANCE)));
        TRY(set_number(customer, name_debt, NUMBER(order, DEBT)));
        TRY(set_number(customer, name_lifetime_earned, order->lifetime + earned));
    }
    Py_INCREF(order->occurred_at);
    TRY(set(customer, name_last_order_at, order->occurred_at));
    TRY(set_number(customer, name_order_count, order->count + 1));
    TRY(set_number(customer, name_version, NUMBER(order, VERSION)));
    TRY(set_number(customer, name_sequence, NUMBER(order, SEQUENCE)));
    Py_INCREF(facts->now);
    TRY(set(customer, name_updated_at, facts->now));
    TRY(set_number(spending, name_total, order->gross));
    TRY(set_number(spending, name_annual, NUMBER(order, ANNUAL)));
    if (order->day == order->last_day && order->mark >= 0)
        return set_number(order->days, name_amount, order->of_day + NUMBER(order, AMOUNT));
    int new_day = order->day > day_of(order->latest);
    PyObject *done = PyObject_CallFunction(facts->begin_day, "OOLLO", customer, spending, order->day,
                                           NUMBER(order, AMOUNT), new_day ? Py_True : Py_False);
    Py_XDECREF(done);
    return done == NULL ? FAILED : DONE;
}

/* Put the order's rows and events into the batch. */
static int put_out(const Facts *facts, Held *held, const Order *order, PyObject **made, Py_ssize_t count,
                   PyObject *headers) {
    Span key;
    int64_t length;
    if (count < 4 || PyTuple_Size(headers) != count - 4) return wrong_form("texts and headers do not fit");
    PyObject *line = made[0], *moment = made[1], *amount = made[2], *version = made[3];
    TRY(bytes_or_none(order->line_key, &key, &length));
    const char *zero = key.n ? memchr(key.p, 0, key.n) : NULL;
    if (zero == NULL) return wrong_form("the key of a ledger line has no kind");
    PyObject *named = hold(held, PyBytes_FromStringAndSize(zero + 1, key.p + key.n - zero - 1));
    if (named == NULL || PyDict_SetItem(facts->lines, order->line_key, line) ||
        PyDict_SetItem(facts->moments, moment, amount) || PyList_Append(facts->fresh_moments, moment) ||
        PyDict_SetItem(facts->versions, version, named) || PyList_Append(facts->fresh_versions, version) ||
        PyDict_SetItem(facts->changed, order->customer_id, order->row))
        return FAILED;
    for (Py_ssize_t i = 4; i < count; i++) {
        PyObject *event = PyObject_CallFunctionObjArgs(facts->outgoing, order->record_key, made[i],
                                                       PyTuple_GetItem(headers, i - 4), NULL);
        if (event == NULL) return FAILED;
        int done = PyList_Append(facts->events, event);
        Py_DECREF(event);
        if (done) return FAILED;
    }
    return DONE;
}

/* Count one order. rules: those of the last one. UNUSUAL: it has changed nothing. bytes: of its ledger line. */
static int count_order(const Facts *facts, RuleSet *rules, Held *held, Order *order, Py_ssize_t *bytes) {
    PyObject *made[MOST_TEXTS], *headers;
    Py_ssize_t count;
    TRY(is_at_home(facts, held, order));
    order->day = day_of(NUMBER(order, OCCURRED_AT));
    TRY(rules_on(facts, order->day, rules));
    TRY(is_latest(held, order, rules));
    TRY(add_up(facts, held, order));
    TRY(stays(facts, held, order, rules));
    TRY(foresee(facts, held, order, rules));
    TRY(make_texts(facts, held, order, made, &count, &headers));
    int done = change_customer(facts, order);
    if (!done) done = put_out(facts, held, order, made, count, headers);
    if (done == UNUSUAL) done = wrong_form("an order was counted in part"); /* it must not be counted again */
    *bytes = count ? PyBytes_Size(made[0]) : 0;
    return done;
}

PyDoc_STRVAR(count_orders_doc, "count_orders(facts, looked_up, records, orders, start) -> (taken, bytes)");

/* See Codecs.count_orders in worker/native/__init__.py. */
static PyObject *count_orders(PyObject *module, PyObject *args) {
    PyObject *tuple, *records, *orders;
    Facts facts;
    RuleSet rules = {0};
    Py_ssize_t start, next, bytes = 0;
    if (!PyArg_ParseTuple(args, "O!O!O!O!n", &PyTuple_Type, &tuple, &PyDict_Type, &facts.looked_up, &PyList_Type,
                          &records, &PyList_Type, &orders, &start) ||
        read_facts(tuple, &facts))
        return NULL;
    if (start < 0 || PyList_Size(records) != PyList_Size(orders))
        return PyErr_Format(PyExc_ValueError, "records and orders do not fit");
    for (next = start; next < PyList_Size(orders); next++) {
        PyObject *pair = PyList_GetItem(orders, next);
        Held held = {.count = 0};
        Order order;
        Py_ssize_t more = 0;
        if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) break;
        memset(&order, 0, offsetof(Order, values.id));
        order.record = PyList_GetItem(records, next);
        order.order = PyTuple_GetItem(pair, 0);
        order.line_key = PyTuple_GetItem(pair, 1);
        int done = PyObject_SetAttr(facts.unit, name_at->text, order.record);
        if (!done) done = count_order(&facts, &rules, &held, &order, &more);
        give_back(&held);
        if (done == FAILED) return NULL;
        if (done) break;
        bytes += more;
    }
    return Py_BuildValue("nn", next - start, bytes);
}
#undef TRY
#undef NUMBER
