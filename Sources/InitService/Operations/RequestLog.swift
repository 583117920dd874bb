import HTTPExchange
import HTTPTypes
import Logging

extension Logger {
    /// Logs an exchange: at `error` if its status is 500, else at `info`.
    ///
    /// Each value that a client can choose is one of few, or checked, or short and made of token characters.
    func log(_ exchange: ExchangeEnd) {
        let level: Logger.Level = exchange.status == 500 ? .error : .info
        guard level >= logLevel else { return }
        var fields: Logger.Metadata = [
            "method": .string(String(exchange.method.rawValue.prefix(Self.longestMethod))),
            "route": .string(exchange.note?.route ?? ServiceMetrics.otherRoute),
            "status": .stringConvertible(exchange.status ?? 0),
            "bytes": .stringConvertible(exchange.bodyByteCount),
            "duration": .stringConvertible(Double(exchange.nanoseconds / 1000) / 1e6),
        ]
        if let id = exchange.note?.id { fields["id"] = .string(id) }
        if let peer = exchange.peer { fields["peer"] = .string(peer) }
        if let problem = exchange.note?.problem { fields["problem"] = .string(problem) }
        if let trace = TraceParent.traceID(of: exchange.fields) { fields["trace"] = .string(trace) }
        if !exchange.isWhole { fields["cut"] = .stringConvertible(true) }
        log(level: level, "request", metadata: fields)
    }

    private static let longestMethod = 32
}
