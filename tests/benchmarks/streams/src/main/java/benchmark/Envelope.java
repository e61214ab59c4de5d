package benchmark;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.UUID;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** CloudEvents 1.0 in structured mode, with the ids that the contract derives from each input. */
final class Envelope {
    private static final Header CONTENT_TYPE =
            new RecordHeader("content-type", "application/cloudevents+json".getBytes(StandardCharsets.UTF_8));
    private static final String DNS = "6ba7b8109dad11d180b400c04fd430c8";
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);
    private static final JsonStringEncoder JSON = JsonStringEncoder.getInstance();

    private final MessageDigest sha1;
    private final byte[] namespace;
    private final StringBuilder text = new StringBuilder(1_024);
    private long timeOf = -1;
    private String time;

    Envelope() {
        try {
            sha1 = MessageDigest.getInstance("SHA-1");
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
        sha1.update(HexFormat.of().parseHex(DNS));
        namespace = Arrays.copyOf(sha1.digest("customer-context".getBytes(StandardCharsets.UTF_8)), 16);
        namespace[6] = (byte) (namespace[6] & 0x0f | 0x50);
        namespace[8] = (byte) (namespace[8] & 0x3f | 0x80);
    }

    static Headers headers(String type) {
        var kind = new RecordHeader("ce_type", type.getBytes(StandardCharsets.UTF_8));
        return new RecordHeaders(new Header[] {CONTENT_TYPE, kind});
    }

    /** The event's JSON. data: its fields after customerId, as JSON. now: ms since 1970. */
    byte[] encode(Order order, String type, long sequence, long now, String data) {
        String customer = json(order.customerId());
        String cause = json(order.eventId());
        text.setLength(0);
        text.append("{\"specversion\":\"1.0\",\"id\":\"").append(id(order, type));
        text.append("\",\"source\":\"/customer-context\",\"type\":\"").append(type);
        text.append("\",\"subject\":\"").append(customer).append("\",\"time\":\"").append(time(now));
        text.append("\",\"datacontenttype\":\"application/json\",\"sequence\":\"").append(sequence);
        text.append("\",\"causationid\":\"").append(cause).append("\",\"correlationid\":\"");
        text.append(order.correlationId() == null ? cause : json(order.correlationId()));
        text.append("\",\"data\":{\"customerId\":\"").append(customer).append('"').append(data).append("}}");
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    static String json(String id) {
        return new String(JSON.quoteAsString(id));
    }

    private String id(Order order, String type) {
        sha1.update(namespace);
        String name = order.customerId() + '|' + order.orderId() + '|' + type + "|0";
        byte[] digest = sha1.digest(name.getBytes(StandardCharsets.UTF_8));
        long high = 0, low = 0;
        for (int i = 0; i < 8; i++) {
            high = high << 8 | digest[i] & 0xff;
            low = low << 8 | digest[i + 8] & 0xff;
        }
        return new UUID(high & ~0xf000L | 0x5000L, low & 0x3fffffffffffffffL | 0x8000000000000000L).toString();
    }

    private String time(long now) {
        if (now != timeOf) {
            timeOf = now;
            time = TIME.format(Instant.ofEpochMilli(now));
        }
        return time;
    }
}
