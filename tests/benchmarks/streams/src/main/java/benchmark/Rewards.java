package benchmark;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** One order: counted once per customer and orderId, for ever; then spending, points, level and VIP. */
final class Rewards implements Processor<byte[], byte[], byte[], byte[]> {
    static final String EVENTS = "events";
    static final String DEAD_LETTERS = "dead-letters";

    private static final long DAY_MS = 86_400_000;
    private static final long CENTS_PER_POINT = 1_000;
    private static final String RULES = ",\"rulesVersion\":\"1\"";
    private static final int DECODED = 4_000;

    private final Envelope envelope = new Envelope();

    /** Customers as objects, so that a hot one is not decoded again; the store has whatever they hold. */
    private final Map<String, Customer> decoded = new LinkedHashMap<>(DECODED, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Customer> eldest) {
            return size() > DECODED;
        }
    };

    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<String, Customer> customers;
    private KeyValueStore<byte[], byte[]> ledger;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        customers = context.getStateStore("customers");
        ledger = context.getStateStore("ledger");
        decoded.clear();
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        try {
            count(record, Order.decode(record.value()));
        } catch (Order.Invalid invalid) {
            deadLetter(record, "INVALID");
        }
    }

    private void count(Record<byte[], byte[]> record, Order order) {
        byte[] line = (order.customerId() + "\0O\0" + order.orderId()).getBytes(StandardCharsets.UTF_8);
        byte[] counted = ledger.get(line);
        if (counted != null) {
            if (ByteBuffer.wrap(counted).getLong() != order.cents()) {
                deadLetter(record, "ORDER_CONFLICT");
            }
            return;
        }
        Customer customer = decoded.get(order.customerId());
        if (customer == null) {
            customer = customers.get(order.customerId());
            customer = customer == null ? new Customer() : customer;
            decoded.put(order.customerId(), customer);
        }
        apply(record.key(), order, customer);
        customer.version++;
        customers.put(order.customerId(), customer);
        ledger.put(line, line(order, customer.sequence));
    }

    private void apply(byte[] key, Order order, Customer customer) {
        int day = (int) Math.floorDiv(order.occurredAt(), DAY_MS);
        int lastDay = customer.orders == 0 ? Integer.MIN_VALUE : customer.annualDay;
        int level = customer.level;
        String id = Envelope.json(order.orderId());
        customer.spend(day, order.cents(), order.occurredAt());
        publish(key, order, customer, "CustomerSpendingUpdatedEvent",
                money("spendingAmount", order.cents()) + money("totalSpending", customer.total)
                        + money("annualSpending", customer.annual)
                        + ",\"orderId\":\"" + id + "\",\"spendingType\":\"PURCHASE\"");
        long points = order.cents() / CENTS_PER_POINT;
        if (points > 0) {
            customer.points += points;
            customer.earned += points;
            publish(key, order, customer, "RewardPointsEarnedEvent",
                    ",\"pointsEarned\":" + points + ",\"totalPoints\":" + customer.points
                            + ",\"debt\":0,\"reason\":\"ORDER_COMPLETED\",\"orderId\":\"" + id + '"'
                            + money("eligibleAmount", order.cents()) + RULES);
        }
        customer.level = customer.levelByTotal();
        if (customer.level > level) {
            publish(key, order, customer, "MembershipLevelUpgradedEvent",
                    ",\"oldLevel\":\"" + Customer.LEVELS[level] + "\",\"newLevel\":\""
                            + Customer.LEVELS[customer.level] + '"' + money("totalSpending", customer.total) + RULES);
        }
        if (customer.level == Customer.PLATINUM && !customer.vip) {
            vip(key, order, customer, level, day, lastDay);
        }
    }

    private void vip(byte[] key, Order order, Customer customer, int levelBefore, int day, int lastDay) {
        long[] window;
        if (levelBefore != Customer.PLATINUM) {
            window = customer.fullWindow(Integer.MIN_VALUE, Integer.MAX_VALUE);
        } else if (day >= lastDay) {
            window = customer.annual >= Customer.VIP_CENTS ? new long[] {day, customer.annual} : null;
        } else {
            window = customer.fullWindow(day, lastDay);
        }
        if (window == null) {
            return;
        }
        customer.vip = true;
        publish(key, order, customer, "CustomerVipUpgradedEvent",
                ",\"membershipLevel\":\"PLATINUM\"" + money("annualSpending", window[1])
                        + ",\"windowStart\":\"" + LocalDate.ofEpochDay(window[0] - Customer.WINDOW_DAYS + 1)
                        + "\",\"windowEnd\":\"" + LocalDate.ofEpochDay(window[0]) + '"' + RULES);
    }

    private void publish(byte[] key, Order order, Customer customer, String type, String data) {
        long now = context.currentSystemTimeMs();
        byte[] value = envelope.encode(order, type, ++customer.sequence, now, data);
        context.forward(new Record<>(key, value, now, Envelope.headers(type)), EVENTS);
    }

    private void deadLetter(Record<byte[], byte[]> record, String reason) {
        var headers = new RecordHeaders(record.headers());
        headers.add("dlq-reason", reason.getBytes(StandardCharsets.UTF_8));
        context.forward(record.withHeaders(headers), DEAD_LETTERS);
    }

    private static String money(String name, long cents) {
        long rest = cents % 100;
        return ",\"" + name + "\":{\"amount\":\"" + cents / 100 + (rest < 10 ? ".0" : ".") + rest
                + "\",\"currency\":\"USD\"}";
    }

    /** Amount, points, time, the customer's sequence afterwards, currency and rules version. */
    private static byte[] line(Order order, long sequence) {
        return ByteBuffer.allocate(36)
                .putLong(order.cents())
                .putLong(order.cents() / CENTS_PER_POINT)
                .putLong(order.occurredAt())
                .putLong(sequence)
                .put(new byte[] {'U', 'S', 'D', '1'})
                .array();
    }
}
