package benchmark;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.math.BigDecimal;
import java.time.DateTimeException;
import java.time.OffsetDateTime;

/** One order.completed event. cents: of US dollars, the only currency of the benchmark; occurredAt: ms since 1970. */
record Order(String eventId, String orderId, String customerId, String correlationId, long cents, long occurredAt) {
    private static final JsonFactory JSON = new JsonFactory();

    /** Not an order: its record becomes a dead letter. */
    static final class Invalid extends Exception {
        Invalid(String message) {
            super(message);
        }
    }

    static Order decode(byte[] value) throws Invalid {
        String eventId = null, orderId = null, customerId = null, correlationId = null, time = null;
        long cents = -1;
        try (JsonParser json = JSON.createParser(value)) {
            expect(json.nextToken() == JsonToken.START_OBJECT, "not an object");
            for (String name = json.nextFieldName(); name != null; name = json.nextFieldName()) {
                switch (name) {
                    case "eventId" -> eventId = text(json);
                    case "orderId" -> orderId = text(json);
                    case "customerId" -> customerId = text(json);
                    case "correlationId" -> correlationId = text(json);
                    case "occurredOn" -> time = text(json);
                    case "totalAmount" -> cents = money(json);
                    default -> {
                        json.nextToken();
                        json.skipChildren();
                    }
                }
            }
            expect(valid(eventId) && valid(orderId) && valid(customerId) && time != null && cents >= 0, "incomplete");
            return new Order(eventId, orderId, customerId, correlationId, cents,
                    OffsetDateTime.parse(time).toInstant().toEpochMilli());
        } catch (IOException | DateTimeException | ArithmeticException | NumberFormatException error) {
            throw new Invalid(error.getClass().getSimpleName());
        }
    }

    private static long money(JsonParser json) throws IOException, Invalid {
        expect(json.nextToken() == JsonToken.START_OBJECT, "totalAmount is no object");
        String amount = null, currency = null;
        for (String name = json.nextFieldName(); name != null; name = json.nextFieldName()) {
            switch (name) {
                case "amount" -> amount = text(json);
                case "currency" -> currency = text(json);
                default -> {
                    json.nextToken();
                    json.skipChildren();
                }
            }
        }
        expect(amount != null && "USD".equals(currency), "no amount in USD");
        return new BigDecimal(amount).movePointRight(2).longValueExact();
    }

    private static String text(JsonParser json) throws IOException, Invalid {
        expect(json.nextToken() == JsonToken.VALUE_STRING, "not a string");
        return json.getText();
    }

    private static boolean valid(String id) {
        return id != null && !id.isEmpty() && id.length() <= 100 && id.chars().noneMatch(Character::isISOControl);
    }

    private static void expect(boolean condition, String otherwise) throws Invalid {
        if (!condition) {
            throw new Invalid(otherwise);
        }
    }
}
