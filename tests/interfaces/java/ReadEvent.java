import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.kafka.CloudEventDeserializer;
import java.util.Map;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** Reads a record of customer.events with the CloudEvents SDK of Java. */
public class ReadEvent {
    public static void main(String[] arguments) throws Exception {
        var json = new ObjectMapper();
        var record = json.readTree(arguments[0]);
        var headers = new RecordHeaders();
        record.get("headers").fields()
            .forEachRemaining(each -> headers.add(each.getKey(), each.getValue().asText().getBytes()));
        var value = record.get("value").asText().getBytes();
        var event = new CloudEventDeserializer().deserialize("customer.events", headers, value);
        var data = json.readTree(event.getData().toBytes());
        System.out.println(json.writeValueAsString(
            Map.of("type", event.getType(), "subject", event.getSubject(), "data", data)));
    }
}
