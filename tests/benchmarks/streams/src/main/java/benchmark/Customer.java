package benchmark;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * What is kept of a customer; its size does not grow with the number of orders.
 *
 * <p>A customer counts as registered before the first order: version and sequence start at 1. Days are kept in
 * ascending order, as days since 1970, for as long as the benchmark's orders reach.
 */
final class Customer {
    static final int WINDOW_DAYS = 365;
    static final long VIP_CENTS = 1_000_000;
    static final String[] LEVELS = {"STANDARD", "SILVER", "GOLD", "PLATINUM"};
    static final int PLATINUM = 3;
    static final Serde<Customer> SERDE =
            Serdes.serdeFrom((topic, customer) -> customer.encode(), (topic, value) -> decode(value));

    private static final long[] THRESHOLDS = {50_000, 200_000, 500_000};
    private static final int FIXED_BYTES = 8 * 8 + 4 * 2 + 2 + 4;

    long version = 1, sequence = 1, total, annual, points, earned, orders, lastOrderAt = Long.MIN_VALUE;
    int annualDay, level;
    boolean vip;
    private int size;
    private int[] days = new int[4];
    private long[] cents = new long[4];

    /** Adds an order to the totals; the annual ones end on the day of the latest order. */
    void spend(int day, long amount, long occurredAt) {
        int last = orders == 0 ? day : Math.max(day, annualDay);
        for (int i = from(annualDay - WINDOW_DAYS + 1); i < size && days[i] <= last - WINDOW_DAYS; i++) {
            annual -= cents[i];
        }
        annual += day > last - WINDOW_DAYS ? amount : 0;
        annualDay = last;
        lastOrderAt = Math.max(lastOrderAt, occurredAt);
        total += amount;
        orders++;
        addToDay(day, amount);
    }

    int levelByTotal() {
        int reached = level;
        while (reached < PLATINUM && total >= THRESHOLDS[reached]) {
            reached++;
        }
        return reached;
    }

    /** {last day, cents} of the earliest full window that ends on one of the days first to last; null for none. */
    long[] fullWindow(int first, int last) {
        if (total < VIP_CENTS) {
            return null;
        }
        int end = from(first);
        int start = end == size ? 0 : from(days[end] - WINDOW_DAYS + 1);
        long spent = 0;
        for (int i = start; i < end; i++) {
            spent += cents[i];
        }
        for (; end < size && days[end] <= last; end++) {
            spent += cents[end];
            for (; days[start] <= days[end] - WINDOW_DAYS; start++) {
                spent -= cents[start];
            }
            if (spent >= VIP_CENTS) {
                return new long[] {days[end], spent};
            }
        }
        return null;
    }

    private int from(int day) {
        int found = Arrays.binarySearch(days, 0, size, day);
        return found < 0 ? -found - 1 : found;
    }

    private void addToDay(int day, long amount) {
        int at = from(day);
        if (at == size || days[at] != day) {
            if (size == days.length) {
                days = Arrays.copyOf(days, size * 2);
                cents = Arrays.copyOf(cents, size * 2);
            }
            System.arraycopy(days, at, days, at + 1, size - at);
            System.arraycopy(cents, at, cents, at + 1, size - at);
            days[at] = day;
            cents[at] = 0;
            size++;
        }
        cents[at] += amount;
    }

    private byte[] encode() {
        var out = ByteBuffer.allocate(FIXED_BYTES + size * 12);
        out.putLong(version).putLong(sequence).putLong(total).putLong(annual).putLong(points).putLong(earned);
        out.putLong(orders).putLong(lastOrderAt).putInt(annualDay).putInt(level).put((byte) (vip ? 1 : 0));
        out.put((byte) 0).putInt(size);
        for (int i = 0; i < size; i++) {
            out.putInt(days[i]).putLong(cents[i]);
        }
        return out.array();
    }

    private static Customer decode(byte[] value) {
        if (value == null) {
            return null;
        }
        var in = ByteBuffer.wrap(value);
        var customer = new Customer();
        customer.version = in.getLong();
        customer.sequence = in.getLong();
        customer.total = in.getLong();
        customer.annual = in.getLong();
        customer.points = in.getLong();
        customer.earned = in.getLong();
        customer.orders = in.getLong();
        customer.lastOrderAt = in.getLong();
        customer.annualDay = in.getInt();
        customer.level = in.getInt();
        customer.vip = in.get() == 1;
        in.get();
        customer.size = in.getInt();
        customer.days = new int[Math.max(4, customer.size)];
        customer.cents = new long[customer.days.length];
        for (int i = 0; i < customer.size; i++) {
            customer.days[i] = in.getInt();
            customer.cents[i] = in.getLong();
        }
        return customer;
    }
}
