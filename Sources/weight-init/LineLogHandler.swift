import ArgumentParser
import Glibc
import Logging

/// Format of log lines.
enum LogFormat: String, CaseIterable, ExpressibleByArgument {
    case text, json
}

/// Writes each event as one line of ASCII to standard error. No text in an event can end its line, start another line,
/// or send a command to a terminal.
struct LineLogHandler: LogHandler {
    let format: LogFormat
    var logLevel = Logger.Level.notice
    var metadata: Logger.Metadata = [:]

    init(_ format: LogFormat) {
        self.format = format
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        var line = LogLine(format)
        line.begin(time: now, level: event.level.rawValue, message: event.message.description)
        for (name, value) in fields { line.add(name, value) }
        line.write()
    }
}

/// A line of the log.
struct LogLine {
    private let format: LogFormat
    private(set) var text = ""

    init(_ format: LogFormat) {
        self.format = format
    }

    mutating func begin(time: timespec, level: String, message: String) {
        switch format {
        case .text: text = "\(Self.timestamp(time)) \(level) \(Self.plain(message))"
        case .json:
            text = #"{"time":"\#(Self.timestamp(time))","level":"\#(level)","message":\#(Self.quoted(message))"#
        }
    }

    mutating func add(_ name: String, _ value: Logger.Metadata.Value) {
        switch format {
        case .text: text += " \(Self.plain(name))=\(Self.isPlain(value.description) ? value.description : json(value))"
        case .json: text += ",\(Self.quoted(name)):\(json(value))"
        }
    }

    private func json(_ value: Logger.Metadata.Value) -> String {
        switch value {
        case .string(let string): Self.quoted(string)
        case .stringConvertible(let number as Int): String(number)
        case .stringConvertible(let number as Double) where number.isFinite: String(number)
        case .stringConvertible(let truth as Bool): String(truth)
        case .stringConvertible(let value): Self.quoted(value.description)
        case .array(let values): "[" + values.map(json).joined(separator: ",") + "]"
        case .dictionary(let members):
            "{" + members.sorted { $0.key < $1.key }.map { "\(Self.quoted($0)):\(json($1))" }.joined(separator: ",")
                + "}"
        }
    }

    /// Writes the line with one call, so that lines of several threads do not mix.
    func write() {
        let bytes = bytes
        _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
    }

    private var bytes: [UInt8] { Array((text + (format == .json ? "}\n" : "\n")).utf8) }

    /// A whole line at the level `error`.
    static func error(_ message: String, at time: timespec, _ format: LogFormat) -> [UInt8] {
        var line = LogLine(format)
        line.begin(time: time, level: "error", message: message)
        return line.bytes
    }

    // MARK: Texts in a line

    /// A JSON string of printable ASCII.
    static func quoted(_ text: String) -> String {
        "\"" + escaped(text) { $0 == "\"" || $0 == "\\" } + "\""
    }

    /// The text with control characters escaped, such as `\u001b`.
    private static func plain(_ text: String) -> String {
        escaped(text) { $0 == "\\" }
    }

    private static func escaped(_ text: String, _ isSpecial: (Unicode.Scalar) -> Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            if (" "..."~").contains(scalar) {
                if isSpecial(scalar) { escaped += "\\" }
                escaped.unicodeScalars.append(scalar)
            } else {
                for unit in UTF16.encode(scalar) ?? .init() {
                    let digits = String(unit, radix: 16)
                    escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            }
        }
        return escaped
    }

    /// `true` if a value needs no quotation marks.
    private static func isPlain(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x3D && $0 != 0x5C }
    }

    /// RFC 3339, in UTC, to the millisecond.
    private static func timestamp(_ time: timespec) -> String {
        var seconds = time.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func digits(_ number: Int, _ count: Int = 2) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, count - digits.count)) + digits
        }
        let date = [digits(Int(parts.tm_year) + 1900, 4), digits(Int(parts.tm_mon) + 1), digits(Int(parts.tm_mday))]
        let clock = [digits(Int(parts.tm_hour)), digits(Int(parts.tm_min)), digits(Int(parts.tm_sec))]
        let moment = date.joined(separator: "-") + "T" + clock.joined(separator: ":")
        return moment + ".\(digits(time.tv_nsec / 1_000_000, 3))Z"
    }
}
