import Foundation
import HTTPDaemon
import HTTPExchange
import InitService
import TestSupport
import Testing

@Suite("Metrics")
struct MetricsTests {
    private let histogram = "http_server_request_duration_seconds"

    /// The service with its load observed, as the command joins them.
    private func withObservedService(
        _ change: (inout DaemonConfiguration) -> Void = { _ in },
        _ body: (Caller) throws -> Void
    ) throws {
        var configuration = DaemonConfiguration.patient
        change(&configuration)
        let service = InitService()
        let daemon = try HTTPDaemon(configuration: configuration, handler: service)
        defer { daemon.stop() }
        service.observe { [weak daemon] in daemon?.load ?? TransportLoad() }
        try body(Caller(port: daemon.port))
    }

    private func metrics(_ caller: Caller) throws -> ParsedMetrics {
        let response = try caller.get("/metrics")
        #expect(response.status == 200)
        #expect(response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(response["Cache-Control"] == "no-store")
        #expect(response["ETag"] == nil)
        return try ParsedMetrics(response.text)
    }

    @Test("agree with what was sent, on one connection at once")
    func counts() throws {
        try withObservedService { caller in
            var bytes = 0
            for index in 0..<20 {
                bytes += try caller.get("/gain?nonlinearity=relu").body.count
                bytes += try caller.get("/no/such/\(index)?q=\(index)").body.count
            }
            bytes += try caller.get("/init?method=normal").body.count
            #expect(try caller.head("/init?method=normal&shape=1000&format=raw").status == 200)
            let metrics = try metrics(caller)
            #expect(metrics[histogram + "_count", ["route": "/gain", "status": "200"]] == 20)
            #expect(metrics[histogram + "_count", ["route": "other", "status": "404"]] == 20)
            #expect(metrics[histogram + "_count", ["route": "/init", "status": "400"]] == 1)
            #expect(metrics[histogram + "_count", ["route": "/init", "status": "200"]] == 1)
            #expect(metrics.sum(histogram + "_count") == 42)
            // Nobody can make up labels: three routes, five series.
            #expect(Set(metrics.families[histogram]?.samples.compactMap { $0.labels["route"] } ?? []).count == 3)
            #expect(metrics["http_server_response_body_bytes_total", [:]] == Double(bytes))
            #expect(metrics["weight_init_rejected_requests_total", ["reason": "not-found"]] == 20)
            #expect(metrics["weight_init_rejected_requests_total", ["reason": "invalid-request"]] == 1)
            #expect(metrics.sum("weight_init_rejected_requests_total") == 21)
            #expect(metrics["weight_init_cut_off_requests_total", [:]] == 0)
            // This very request is the only one in hand.
            #expect(metrics["http_server_active_requests", [:]] == 1)
            #expect(metrics["http_server_open_connections", [:]] == 1)
            #expect(metrics["weight_init_work_queue_depth", [:]] == 0)
            #expect(metrics["weight_init_draining", [:]] == 0)
            #expect(metrics["weight_init_build_info", ["version": "1.0.0", "profile": "torch-2.13"]] == 1)
            let again = try self.metrics(caller)
            #expect(again[histogram + "_count", ["route": "/metrics", "status": "200"]] == 1)
        }
    }

    @Test(
        "count the bytes and elements made by method and dtype, whatever the format",
        arguments: ["raw", "npy", "safetensors", "json"]
    )
    func made(_ format: String) throws {
        try withObservedService { caller in
            _ = try caller.get("/init?method=normal&shape=300,1000&dtype=float16&format=\(format)")
            _ = try caller.get("/init?method=zeros&shape=7&format=\(format)")
            let labels = ["method": "normal", "dtype": "float16"]
            var metrics = try metrics(caller)
            #expect(metrics["weight_init_made_bytes_total", labels] == 600_000)
            #expect(metrics["weight_init_made_elements_total", labels] == 300_000)
            #expect(metrics.sum("weight_init_made_bytes_total") == 600_028)
            guard format != "json" else { return }
            // Of a range, only what is asked for is made.
            let part = try caller.get("/init?method=ones&shape=1000000&format=raw", ["Range": "bytes=400-799"])
            #expect(part.status == 206)
            metrics = try self.metrics(caller)
            #expect(metrics["weight_init_made_elements_total", ["method": "ones", "dtype": "float32"]] == 100)
            #expect(metrics[histogram + "_count", ["route": "/init", "status": "206"]] == 1)
        }
    }

    @Test("count a model's tensors each under its method")
    func model() throws {
        try withObservedService { caller in
            let json = #"""
                {"layers":[{"type":"Linear","in_features":8,"out_features":4},{"type":"BatchNorm1d","num_features":4}],
                 "format":"safetensors","rules":[{"type":"Linear","parameter":"weight","method":"xavier_normal"}]}
                """#
            #expect(try caller.post("/init", json: json).status == 200)
            let metrics = try metrics(caller)
            let elements = { (method: String, dtype: String) in
                metrics["weight_init_made_elements_total", ["method": method, "dtype": dtype]]
            }
            #expect(elements("xavier_normal", "float32") == 32)
            #expect(elements("uniform", "float32") == 4)
            #expect(elements("ones", "float32") == 8)
            #expect(metrics.sum("weight_init_made_bytes_total") == 4 * (32 + 4 + 4 * 4) + 8)
        }
    }

    @Test("know a download that was cut off, and how much of it went out")
    func cutOff() throws {
        try withObservedService { caller in
            let client = try RawClient(port: caller.port, receiveBuffer: 16 << 10)
            client.send("GET /init?method=ones&shape=100000000&format=raw HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.readHead().status == 200)
            client.reset()
            var metrics = try metrics(caller)
            for _ in 0..<5000 where metrics["weight_init_cut_off_requests_total", [:]] == 0 {
                usleep(2000)
                metrics = try self.metrics(caller)
            }
            #expect(metrics["weight_init_cut_off_requests_total", [:]] == 1)
            // What was counted just before may have been missed by what was read just before.
            metrics = try self.metrics(caller)
            #expect(metrics[histogram + "_count", ["route": "/init", "status": "200"]] == 1)
            let made = metrics["weight_init_made_bytes_total", ["method": "ones", "dtype": "float32"]] ?? 0
            #expect(made > 0 && made < 400_000_000)
            #expect(metrics["http_server_active_requests", [:]] == 1)
        }
    }

    @Test("show what waits, and count what is refused for it")
    func work() throws {
        try withObservedService({ $0.deferred.queueLimit = 1 }) { caller in
            // Long enough to be seen; each client is gone before the end.
            let clients = try (0..<3).map { index in
                let client = try RawClient(port: caller.port)
                client.send(
                    "GET /init?method=normal&shape=4000000000&seed=\(index)&format=summary HTTP/1.1\r\nHost: a\r\n\r\n"
                )
                return client
            }
            var metrics = try metrics(caller)
            for _ in 0..<5000 where metrics.sum("weight_init_rejected_requests_total") == 0 {
                usleep(2000)
                metrics = try self.metrics(caller)
            }
            #expect(metrics["weight_init_rejected_requests_total", ["reason": "work-queue"]] == 1)
            #expect(metrics["weight_init_work_queue_depth", [:]] == 1)
            #expect(metrics["weight_init_work_running", [:]] == 1)
            #expect((metrics["weight_init_work_memory_bytes", [:]] ?? 0) > 0)
            clients.forEach { $0.reset() }
        }
    }

    @Test("have a status for what the library answers by itself, and none for what nobody answers")
    func library() throws {
        try withObservedService({ $0.receiveTimeout = .milliseconds(200) }) { caller in
            let long = try RawClient(port: caller.port)
            long.send("GET /gain?\(String(repeating: "a", count: 100_000)) HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = long.readToEnd()
            let header = try RawClient(port: caller.port)
            header.send("GET /gain HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 100_000))\r\n\r\n")
            _ = header.readToEnd()
            let silent = try RawClient(port: caller.port)
            silent.send("GET /gain HTTP/1.1\r\nHost: a\r\n")
            #expect(silent.readToEnd().isEmpty)
            var metrics = try metrics(caller)
            for _ in 0..<5000 where metrics[histogram + "_count", ["route": "other", "status": "none"]] == nil {
                usleep(2000)
                metrics = try self.metrics(caller)
            }
            #expect(metrics[histogram + "_count", ["route": "other", "status": "none"]] == 1)
            #expect(metrics[histogram + "_count", ["route": "other", "status": "431"]] == 1)
        }
    }

    @Test("are those that the documentation lists, with their types and labels")
    func documentation() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "docs/operations.md")
        let document = try String(contentsOf: path, encoding: .utf8)
        let rows = document.matches(of: /\n\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|/)
        try withObservedService { caller in
            _ = try caller.get("/init?method=ones&shape=2")
            let families = try metrics(caller).families
            #expect(rows.map { String($0.1) }.sorted() == families.keys.sorted())
            for row in rows {
                let family = families[String(row.1)]
                #expect(family?.kind == String(row.2), "\(row.1)")
                let labels = row.3.matches(of: /`([a-z]+)`/).map { String($0.1) }
                #expect(family?.labels == Set(labels), "\(row.1)")
            }
        }
    }
}
