import ByteSource
import Foundation
import HTTPDaemon
import HTTPExchange
import HTTPTypes
import Synchronization
import TestSupport
import Testing

@Suite struct Deferred {
    static let request = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"

    /// A stub whose `/slow` waits at the gate and then answers "done". With `cancelled`, `/slow` arrives at that gate
    /// once its work has been cancelled.
    static func stub(_ gate: Gate, memory: Int = 0, cancelled: Gate? = nil) -> Stub {
        Stub([
            "/slow": { _ in
                .deferred(
                    DeferredWork(memory: memory) { isCancelled in
                        if let cancelled {
                            gate.arrive()
                            while !isCancelled() { usleep(1000) }
                            cancelled.arrive()
                            return .text("nobody reads this")
                        }
                        gate.pass()
                        return .text("done")
                    }
                )
            }
        ])
    }

    @Test("Deferred work answers, and its connection stays usable")
    func deferredWorkAnswersAndItsConnection() throws {
        let gate = Gate()
        gate.release()
        try withDaemon(Self.stub(gate)) { daemon in
            let client = try RawClient(port: daemon.port)
            for _ in 0..<100 {
                client.send(Self.request + "GET /y HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.readResponse().text == "done")
                #expect(try client.readResponse().text == "/y")
            }
        }
        #expect(gate.arrived == 100)
    }

    @Test("Ready answers overtake deferred work")
    func readyAnswersOvertakeDeferredWork() throws {
        let gate = Gate()
        try withDaemon(Self.stub(gate)) { daemon in
            let slow = try (0..<20).map { _ in try RawClient(port: daemon.port) }
            for client in slow {
                client.sendGet("/slow")
            }
            #expect(eventually { gate.arrived == 1 && daemon.activeExchanges == 20 })
            for _ in 0..<200 { #expect(try RawClient(port: daemon.port).get("/y").text == "/y") }
            // One thread: the first job still runs, the others still wait.
            #expect(gate.arrived == 1)
            gate.release()
            for client in slow { #expect(try client.readResponse().text == "done") }
        }
    }

    @Test("A body that holds much memory is freed by no thread that serves connections", arguments: [1 << 20, 1 << 10])
    func freeing(_ memory: Int) throws {
        let threads = Threads()
        let stub = Stub([
            "/slow": { _ in
                .deferred(
                    DeferredWork(memory: memory) { _ in
                        var response = OutgoingResponse.ok(.stream(NotingStream(threads)))
                        response.memory = memory
                        return response
                    }
                )
            }
        ])
        try withDaemon(stub) { daemon in
            let client = try RawClient(port: daemon.port)
            for count in 1...20 {
                #expect(try client.get("/slow").text == "text")
                #expect(eventually { threads.freeing.count == count })
            }
        }
        #expect(threads.reading.isDisjoint(with: threads.freeing) == (memory > 256 << 10))
    }

    /// Threads that read and freed a stream.
    private final class Threads: Sendable {
        private let state = Mutex((reading: Set<UInt>(), freeing: [UInt]()))

        var reading: Set<UInt> { state.withLock { $0.reading } }
        var freeing: [UInt] { state.withLock { $0.freeing } }

        func reads() { _ = state.withLock { $0.reading.insert(pthread_self()) } }
        func frees() { state.withLock { $0.freeing.append(pthread_self()) } }
    }

    private final class NotingStream: ByteStream {
        private let threads: Threads
        private var isAtEnd = false

        init(_ threads: Threads) {
            self.threads = threads
        }

        deinit {
            threads.frees()
        }

        func read(into destination: inout MutableRawSpan) -> Int? {
            threads.reads()
            guard !isAtEnd else { return nil }
            isAtEnd = true
            return destination.copy("text".utf8.span.bytes)
        }
    }

    @Test("Work runs in its order of arrival")
    func workRunsInItsOrderOf() throws {
        let gate = Gate()
        let order = Mutex<[String]>([])
        let stub = Stub([
            "/slow": { request in
                .deferred(
                    DeferredWork(memory: 0) { _ in
                        gate.pass()
                        order.withLock { $0.append(request.head.target) }
                        return .text("done")
                    }
                )
            }
        ])
        try withDaemon(stub) { daemon in
            var clients: [RawClient] = []
            for number in 0..<10 {
                let client = try RawClient(port: daemon.port)
                client.sendGet("/slow?\(number)")
                #expect(eventually { stub.requests.count == number + 1 })
                clients.append(client)
            }
            gate.release()
            for client in clients {
                #expect(try client.readResponse().status == 200)
            }
        }
        #expect(order.withLock { $0 } == (0..<10).map { "/slow?\($0)" })
    }

    @Test func `work that finds more to do gives its memory back and asks for what the rest needs`() throws {
        let held = Mutex<[Int]>([])
        let daemonLoad = Mutex<(@Sendable () -> Int)?>(nil)
        let note: @Sendable () -> Void = {
            let bytes = daemonLoad.withLock { $0 }?() ?? -1
            held.withLock { $0.append(bytes) }
        }
        let stub = Stub([
            "/more": { _ in
                .deferred(
                    .attempt(memory: 100, cost: .zero) { _ in
                        note()
                        return .deferred(
                            .attempt(memory: 70_000, cost: .seconds(10)) { _ in
                                note()
                                return .ready(.text("whole"))
                            }
                        )
                    }
                )
            },
            "/much": { _ in
                .deferred(
                    .attempt(memory: 0, cost: .zero) { _ in
                        .deferred(DeferredWork(memory: .max) { _ in .text("never") })
                    }
                )
            },
        ])
        try withDaemon(stub) { daemon in
            daemonLoad.withLock { $0 = { [weak daemon] in daemon?.load.workMemory ?? -1 } }
            let client = try RawClient(port: daemon.port)
            #expect(try client.get("/more").text == "whole")
            #expect(held.withLock { $0 } == [100, 70_000])
            #expect(eventually { daemon.load.workMemory == 0 })
            // The rest is refused if it can never fit into the memory, and the connection stays usable.
            #expect(try client.get("/much").status == 413)
            #expect(try client.get("/more").text == "whole")
        }
    }

    /// A stub whose `/long` waits at the gate and takes all memory for long work, and whose `/short` answers at once.
    static func twoKinds(_ gate: Gate, memory: Int = 0) -> Stub {
        Stub([
            "/long": { _ in
                .deferred(
                    DeferredWork(memory: memory, cost: .seconds(10)) { _ in
                        gate.pass()
                        return .text("long")
                    }
                )
            },
            "/short": { _ in
                .deferred(DeferredWork(memory: memory / 2, cost: .milliseconds(2)) { _ in .text("short") })
            },
        ])
    }

    @Test("Short work does not wait for long work, for its queue or for its memory")
    func shortWorkDoesNotWaitFor() throws {
        let gate = Gate()
        try withDaemon(
            Self.twoKinds(gate, memory: 100),
            {
                $0.deferred.queueLimit = 2
                $0.deferred.memoryLimit = 100
                $0.deferred.shortMemoryLimit = 50
            }
        ) { daemon in
            let long = try (0..<3).map { number in
                let client = try RawClient(port: daemon.port)
                client.sendGet("/long")
                #expect(eventually { daemon.activeExchanges == number + 1 && gate.arrived == 1 })
                return client
            }
            #expect(daemon.load.workMemory == 100)
            for _ in 0..<10 { #expect(try RawClient(port: daemon.port).get("/short").text == "short") }
            #expect(gate.arrived == 1)
            gate.release()
            for client in long { #expect(try client.readResponse().text == "long") }
            #expect(eventually { daemon.load.workMemory == 0 })
        }
    }

    @Test("Cheap work overtakes costly work in its queue")
    func cheapWorkOvertakesCostlyWorkIn() throws {
        let (gate, first) = (Gate(), Gate())
        let order = Mutex<[Int]>([])
        let stub = Stub([
            "/long": { _ in
                .deferred(
                    DeferredWork(memory: 0) { _ in
                        gate.pass()
                        return .text("done")
                    }
                )
            },
            "/short": { request in
                let seconds = Int(request.head.target.split(separator: "?").last ?? "") ?? 0
                return .deferred(
                    DeferredWork(memory: 0, cost: .seconds(seconds)) { _ in
                        first.pass()
                        order.withLock { $0.append(seconds) }
                        return .text("done")
                    }
                )
            },
        ])
        try withDaemon(stub, { $0.deferred.shortCost = .seconds(100) }) { daemon in
            var clients: [RawClient] = []
            func ask(_ target: String) throws {
                let client = try RawClient(port: daemon.port)
                client.sendGet(target)
                clients.append(client)
            }
            // Both threads are taken when the others come.
            try ask("/long")
            #expect(eventually { gate.arrived == 1 })
            try ask("/short?1")
            #expect(eventually { first.arrived == 1 })
            for (number, cost) in [90, 70, 80, 70].enumerated() {
                try ask("/short?\(cost)")
                #expect(eventually { daemon.load.waitingWork == number + 1 })
            }
            first.release()
            #expect(eventually { order.withLock { $0.count } == 5 })
            gate.release()
            for client in clients {
                #expect(try client.readResponse().status == 200)
            }
        }
        #expect(order.withLock { $0 } == [1, 70, 70, 80, 90])
    }

    @Test("Work beyond the queue is refused at once")
    func workBeyondTheQueueIsRefused() throws {
        let gate = Gate()
        try withDaemon(Self.stub(gate), { $0.deferred.queueLimit = 2 }) { daemon in
            let clients = try (0..<3).map { number in
                let client = try RawClient(port: daemon.port)
                client.sendGet("/slow")
                #expect(eventually { daemon.activeExchanges == number + 1 && gate.arrived == 1 })
                return client
            }
            let refused = try RawClient(port: daemon.port)
            refused.send(Self.request + "GET /y HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try refused.readResponse().status == 503)
            #expect(try refused.readResponse().text == "/y")
            gate.release()
            for client in clients {
                #expect(try client.readResponse().text == "done")
            }
        }
    }

    @Test("Work that waits too long is refused")
    func workThatWaitsTooLongIs() throws {
        let gate = Gate()
        try withDaemon(Self.stub(gate), { $0.deferred.waitLimit = .milliseconds(100) }) { daemon in
            let first = try RawClient(port: daemon.port)
            first.sendGet("/slow")
            #expect(eventually { gate.arrived == 1 })
            let second = try RawClient(port: daemon.port)
            #expect(try second.get("/slow").status == 503)
            gate.release()
            #expect(try first.readResponse().text == "done")
        }
        #expect(gate.arrived == 1)
    }

    @Test(
        "Work that needs more memory than all work may hold is refused for good; short work may use either memory",
        arguments: [(0, 0, 413), (0, 50, 200), (50, 0, 200), (49, 49, 413)]
    )
    func tooLarge(_ long: Int, _ short: Int, _ status: Int) throws {
        let stub = Stub(["/short": { _ in .deferred(DeferredWork(memory: 50, cost: .zero) { _ in .text("done") }) }])
        try withDaemon(
            stub,
            {
                $0.deferred.memoryLimit = long
                $0.deferred.shortMemoryLimit = short
            }
        ) { daemon in
            let client = try RawClient(port: daemon.port)
            for _ in 0..<2 { #expect(try client.get("/short").status == status) }
        }
    }

    @Test("Work counts against the memory limit until its response is sent")
    func memoryBoundsWhatRunsAtOnce() throws {
        let gate = Gate()
        let body = 32 << 20
        let stub = Stub([
            "/slow": { _ in
                .deferred(
                    DeferredWork(memory: 60) { _ in
                        gate.pass()
                        return .ok(.source(Pattern(byteCount: body), range: 0..<body))
                    }
                )
            },
            "/huge": { _ in .deferred(DeferredWork(memory: 101) { _ in .text("never") }) },
        ])
        try withDaemon(
            stub,
            {
                $0.deferred.threadCount = 4
                $0.deferred.memoryLimit = 100
            }
        ) { daemon in
            gate.release()
            let first = try RawClient.slowReader(port: daemon.port, "/slow")
            let second = try RawClient(port: daemon.port)
            second.sendGet("/slow")
            // The first response is not sent yet: its 60 bytes still count, and 60 more do not fit.
            usleep(200_000)
            #expect(gate.arrived == 1)
            #expect(first.read(body).count == body)
            #expect(try second.readHead().status == 200)
            #expect(gate.arrived == 2)

            let huge = try RawClient(port: daemon.port)
            let refusal = try huge.get("/huge")
            #expect(refusal.status == 413 && refusal.text == "101 of 100")
        }
    }

    @Test("Memory that a response does not hold is freed before it is sent")
    func memoryThatAResponseDoesNot() throws {
        let body = 32 << 20
        let stub = Stub([
            "/slow": { _ in
                .deferred(
                    DeferredWork(memory: 100) { _ in
                        var response = OutgoingResponse.ok(.source(Pattern(byteCount: body), range: 0..<body))
                        response.memory = 0
                        return response
                    }
                )
            }
        ])
        try withDaemon(stub, { $0.deferred.memoryLimit = 100 }) { daemon in
            let clients = try (0..<2).map { _ in try RawClient.slowReader(port: daemon.port, "/slow") }
            #expect(daemon.activeExchanges == clients.count)
        }
    }

    @Test("A client that goes away cancels its running work", arguments: [true, false])
    func aClientThatGoesAwayCancels(_ resets: Bool) throws {
        let (gate, cancelled) = (Gate(), Gate())
        try withDaemon(Self.stub(gate, cancelled: cancelled)) { daemon in
            let client = try RawClient(port: daemon.port)
            client.sendGet("/slow")
            // The work must have begun, because waiting work would be dropped.
            #expect(eventually { gate.arrived == 1 })
            if resets { client.reset() } else { client.finishSending() }
            #expect(eventually { cancelled.arrived == 1 })
            #expect(eventually { daemon.activeExchanges == 0 && daemon.openConnections == 0 })
        }
    }

    @Test("A client that goes away cancels its waiting work")
    func aClientThatGoesAwayTakes() throws {
        let gate = Gate()
        try withDaemon(Self.stub(gate)) { daemon in
            let first = try RawClient(port: daemon.port)
            first.sendGet("/slow")
            #expect(eventually { gate.arrived == 1 })
            let others = try (0..<10).map { _ in try RawClient(port: daemon.port) }
            for client in others {
                client.sendGet("/slow")
            }
            #expect(eventually { daemon.activeExchanges == 11 })
            for client in others {
                client.finishSending()
            }
            #expect(eventually { daemon.activeExchanges == 1 })
            gate.release()
            #expect(try first.readResponse().text == "done")
        }
        #expect(gate.arrived == 1)
    }

    @Test("Stopping ends running and waiting work")
    func stoppingEndsRunningAndWaitingWork() throws {
        let (gate, cancelled) = (Gate(), Gate())
        try withDaemon(Self.stub(gate, cancelled: cancelled), { $0.deferred.threadCount = 2 }) { daemon in
            let clients = try (0..<6).map { _ in try RawClient(port: daemon.port) }
            // Optimised code would close the sockets of the clients after their last use.
            defer { withExtendedLifetime(clients) {} }
            for client in clients {
                client.sendGet("/slow")
            }
            #expect(eventually { daemon.activeExchanges == 6 && gate.arrived == 2 })
            daemon.stop()
            #expect(daemon.activeExchanges == 0)
            #expect(cancelled.arrived == 2)
        }
    }

    /// Completion, cancellation, timeout and stopping race against each other. None of them may cause an abort, a hang,
    /// or an exchange that never ends.
    @Test("Disconnects, work and stopping may race in any order")
    func disconnectsWorkAndTheEndMay() throws {
        for round in 0..<10 {
            let stub = Stub([
                "/slow": { _ in
                    .deferred(
                        DeferredWork(memory: 10) { _ in
                            usleep(UInt32.random(in: 0..<2000))
                            return .ok(.source(Pattern(byteCount: 50_000), range: 0..<50_000))
                        }
                    )
                }
            ])
            try withDaemon(
                stub,
                {
                    $0.deferred.threadCount = 2
                    $0.deferred.queueLimit = 8
                    $0.deferred.memoryLimit = 25
                    $0.deferred.waitLimit = .milliseconds(5)
                }
            ) { daemon in
                for _ in 0..<40 {
                    let clients = try (0..<6).map { _ in try RawClient(port: daemon.port) }
                    for client in clients { client.send(Self.request) }
                    for (index, client) in clients.enumerated() {
                        switch index % 3 {
                        case 0: client.reset()
                        case 1: usleep(UInt32.random(in: 0..<3000))
                        default: #expect([200, 503].contains(try client.readResponse().status))
                        }
                    }
                }
                if round.isMultiple(of: 2) {
                    #expect(eventually { daemon.activeExchanges == 0 })
                }
                daemon.stop()
                #expect(daemon.activeExchanges == 0)
            }
        }
    }
}
