// Errors with causes and suppressed ones, from two threads.
public class Chained {
    static class Door implements AutoCloseable {
        @Override
        public void close() {
            throw new IllegalStateException("stuck");
        }
    }

    static void read() {
        try (Door door = new Door()) {
            throw new IllegalArgumentException("bad\tvalue");
        }
    }

    static void start() {
        try {
            read();
        } catch (IllegalArgumentException error) {
            throw new RuntimeException("could not start", error);
        }
    }

    public static void main(String[] arguments) throws Exception {
        System.err.println("starting");
        Thread worker = new Thread(Chained::start, "worker");
        worker.start();
        worker.join();
        System.err.println("java.lang.Unrelated: a line of its own");
        start();
    }
}
