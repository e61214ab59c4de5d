package benchmark;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.apache.kafka.streams.state.Stores;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.BloomFilter;
import org.rocksdb.Cache;
import org.rocksdb.LRUCache;
import org.rocksdb.Options;
import org.rocksdb.WriteBufferManager;

/**
 * Orders to customers' spending, points, level and VIP with Kafka Streams, exactly once.
 *
 * <p>The same events, envelope and dedupe for ever as the worker it is measured against, tuned by what Kafka Streams
 * offers: the Processor API, a cached store of customers (one changelog record per changed customer and commit), an
 * uncached ledger (its keys never repeat), compact binary values, one RocksDB cache for all stores, large batches.
 */
public final class App {
    private static final Map<String, String> ENV = System.getenv();

    public static void main(String[] arguments) throws InterruptedException {
        var streams = new KafkaStreams(topology(), configuration());
        var over = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            over.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            over.countDown();
        }));
        streams.start();
        over.await();
    }

    private static Topology topology() {
        var prefix = ENV.get("BENCH_PREFIX");
        var bytes = Serdes.ByteArray();
        Serializer<byte[]> out = bytes.serializer();
        Deserializer<byte[]> in = bytes.deserializer();
        var customers = Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore("customers"), Serdes.String(), Customer.SERDE)
                .withCachingEnabled();
        var ledger = Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("ledger"), bytes, bytes)
                .withCachingDisabled();
        return new Topology()
                .addSource("orders", in, in, prefix + "order.completed")
                .addProcessor("rewards", Rewards::new, "orders")
                .addStateStore(customers, "rewards")
                .addStateStore(ledger, "rewards")
                .addSink(Rewards.EVENTS, prefix + "customer.events", out, out, "rewards")
                .addSink(Rewards.DEAD_LETTERS, prefix + "customer.dead-letters", out, out, "rewards");
    }

    private static Properties configuration() {
        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, ENV.get("BENCH_APP_ID"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, ENV.get("BENCH_BOOTSTRAP"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, ENV.get("BENCH_FOLDER"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, ENV.get("BENCH_COMMIT_MS"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, ENV.getOrDefault("BENCH_THREADS", "2"));
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 4_000);
        settings.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, SharedRocks.class);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 4_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 6_000);
        settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), 1_000);
        settings.put(StreamsConfig.restoreConsumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 20_000);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
        return settings;
    }

    /** One block cache and one budget of write buffers for all stores: as much as the worker gives its own. */
    public static final class SharedRocks implements RocksDBConfigSetter {
        private static final Cache CACHE = new LRUCache(128L << 20);
        private static final WriteBufferManager BUFFERS = new WriteBufferManager(96L << 20, new LRUCache(96L << 20));
        private static final BloomFilter FILTER = new BloomFilter(10);

        @Override
        public void setConfig(String store, Options options, Map<String, Object> configuration) {
            var table = (BlockBasedTableConfig) options.tableFormatConfig();
            table.setBlockCache(CACHE);
            table.setFilterPolicy(FILTER);
            options.setTableFormatConfig(table);
            options.setWriteBufferManager(BUFFERS);
            options.setWriteBufferSize(16L << 20);
        }

        @Override
        public void close(String store, Options options) {
            // shared by all stores, and there as long as the process
        }
    }
}
