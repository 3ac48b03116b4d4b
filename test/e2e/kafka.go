package e2e

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startKafka starts brokers in this process that have some topics.
func startKafka(t testing.TB, topics ...string) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// consume returns what the messages of a topic hold, once it is enough.
func consume[T any](t testing.TB, cluster *kfake.Cluster, topic string,
	decode func(line []byte, into []T) ([]T, error), enough func([]T) bool) (items []T) {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !enough(items) {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s, %d so far: %v", topic, len(items), err)
		}
		for _, message := range fetches.Records() {
			if items, err = decode(message.Value, items); err != nil {
				t.Fatalf("a message of %s: %v: %s", topic, err, message.Value)
			}
		}
	}
	return items
}
