// Reads a record of customer.events with the CloudEvents SDK of Node.
import { Kafka } from "cloudevents";

const record = JSON.parse(process.argv[2]);
const event = Kafka.toEvent(record);
console.log(JSON.stringify({ type: event.type, subject: event.subject, data: event.data }));
