import CHTTPDaemon
import Testing

@Suite struct Shim {
    static let callbacks = c_httpd_callbacks(
        connection_opened: { context, _, _ in context },
        connection_closed: { _, _ in },
        request_started: { _, _, _ in },
        request_continued: { _, _, _, _, _, _, _, _ in false },
        request_ended: { _, _, _, _, _ in },
        length_refused: { _, _, _, _, _ in 0 },
        log: { _, _ in }
    )

    static func start(host: String, port: UInt16 = 0) -> (daemon: OpaquePointer?, failure: c_httpd_failure) {
        var failure = c_httpd_failure()
        var callbacks = Self.callbacks
        let daemon = host.withCString { host in
            var options = c_httpd_options(
                socket_path: nil,
                host: host,
                port: port,
                thread_count: 2,
                connection_limit: 10,
                connections_per_address: 0,
                idle_seconds: 1,
                connection_memory: 32 << 10,
                tls_certificate: nil,
                tls_key: nil
            )
            var context = 0
            return withUnsafeMutablePointer(to: &context) { c_httpd_start(&options, &callbacks, $0, &failure) }
        }
        return (daemon, failure)
    }

    @Test("A daemon binds a free port, quiesces twice and stops")
    func aDaemonBindsAFreePort() throws {
        let daemon = try #require(Self.start(host: "127.0.0.1").daemon)
        #expect(c_httpd_port(daemon) != 0)
        c_httpd_quiesce(daemon)
        c_httpd_quiesce(daemon)
        c_httpd_stop(daemon)
    }

    @Test("Errors name the step that failed")
    func errorsNameTheStepThatFailed() throws {
        #expect(Self.start(host: "nowhere").failure.step == Int32(C_HTTPD_FAILED_ADDRESS))
        let first = try #require(Self.start(host: "127.0.0.1").daemon)
        defer { c_httpd_stop(first) }
        let second = Self.start(host: "127.0.0.1", port: c_httpd_port(first))
        #expect(second.daemon == nil)
        #expect(second.failure.step == Int32(C_HTTPD_FAILED_BIND))
        #expect(second.failure.code != 0)
    }

    @Test("A field value with a line break is refused", arguments: ["", "a\nb", "a\rb"])
    func aFieldValueWithALine(_ value: String) throws {
        let response = try #require(c_httpd_response_empty())
        defer { c_httpd_response_release(response) }
        #expect(!c_httpd_response_add_field(response, "X", value))
        #expect(c_httpd_response_add_field(response, "X", "a"))
    }

    @Test("A response that is never sent frees its body once")
    func aResponseThatIsNeverSent() throws {
        final class Counter { var released = 0 }
        let counter = Counter()
        let context = Unmanaged.passUnretained(counter).toOpaque()
        let release: @convention(c) (UnsafeMutableRawPointer) -> Void = {
            Unmanaged<Counter>.fromOpaque($0).takeUnretainedValue().released += 1
        }
        let read: c_httpd_reader = { _, _, _, _ in -1 }
        let known = try #require(c_httpd_response_of_reader(10, 10, read, context, release))
        c_httpd_response_release(known)
        let unknown = try #require(c_httpd_response_of_stream(1, read, context, release))
        c_httpd_response_release(unknown)
        // A block size of 0: the library refuses to make the response, and the body is freed all the same.
        #expect(c_httpd_response_of_reader(10, 0, read, context, release) == nil)
        #expect(counter.released == 3)
    }
}
