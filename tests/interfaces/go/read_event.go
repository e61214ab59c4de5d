// Reads a record of customer.events with the CloudEvents SDK of Go.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
)

func main() {
	var record struct {
		Key, Value string
		Headers    map[string]string
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &record); err != nil {
		log.Fatal(err)
	}
	message := &sarama.ConsumerMessage{Key: []byte(record.Key), Value: []byte(record.Value)}
	for name, value := range record.Headers {
		header := &sarama.RecordHeader{Key: []byte(name), Value: []byte(value)}
		message.Headers = append(message.Headers, header)
	}
	event, err := binding.ToEvent(context.Background(), kafka_sarama.NewMessageFromConsumerMessage(message))
	if err != nil {
		log.Fatal(err)
	}
	told := map[string]any{"type": event.Type(), "subject": event.Subject(), "data": json.RawMessage(event.Data())}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		log.Fatal(err)
	}
}
