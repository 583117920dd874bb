import Settings
import Testing

private enum Colour: String, CaseIterable {
    case red, green
}

private struct Inner: Configurable {
    var depth = 3
    var wait = Duration.seconds(5)

    static let settings: [Setting<Inner>] = [
        Setting("max-depth", in: .requests, \.depth, 1...9, of: "levels", "Depth."),
        Setting("wait", in: .requests, \.wait, .milliseconds(100) ... .seconds(60), "Seconds to wait."),
    ]
}

private struct Outer: Configurable {
    var inner = Inner()
    var count = 7
    var host = "here"
    var file: String?
    var port: UInt16?
    var colour = Colour.red
    var even: Int?

    static let settings: [Setting<Outer>] =
        Inner.settings.map { $0.within(\.inner) } + [
            Setting("count", in: .requests, \.count, 0...Int.max, "Count."),
            Setting("host", in: .requests, \.host, "Host."),
            Setting("file", in: .requests, \.file, isFile: true, "File."),
            Setting("port", in: .requests, \.port, "Port."),
            Setting("colour", in: .requests, \.colour, "Colour."),
            Setting("even", in: .requests, \.even, accepted: "an even number", "Even.") {
                Int($0).flatMap { $0 % 2 == 0 ? $0 : nil }
            },
        ]
}

@Suite("Settings are rows of a table")
struct SettingTests {
    private func setting(_ name: String) throws -> Setting<Outer> {
        try #require(Outer.settings.first { $0.name == name })
    }

    @Test(
        "An accepted text sets its value and no other",
        arguments: [
            ("max-depth", "9"), ("max-depth", "1"), ("wait", "1"), ("wait", "60"), ("count", "9223372036854775807"),
            ("host", ""), ("host", "::1"), ("file", "a b"), ("port", "0"), ("port", "65535"), ("colour", "green"),
        ]
    )
    func accepted(_ name: String, _ text: String) throws {
        var values = Outer()
        #expect(try setting(name).set(text, in: &values))
        for other in Outer.settings {
            #expect(other.text(in: values) == (other.name == name ? text : other.text(in: Outer())), "\(other.name)")
            #expect(other.isValid(in: values))
        }
    }

    @Test(
        "A text that is not accepted changes nothing",
        arguments: [
            ("max-depth", "0"), ("max-depth", "10"), ("max-depth", ""), ("max-depth", "3.0"), ("max-depth", " 3"),
            ("max-depth", "99999999999999999999"), ("wait", "0"), ("wait", "61"), ("wait", "0.5"), ("count", "-1"),
            ("count", "9223372036854775808"), ("port", "65536"), ("port", "-1"), ("port", "http"), ("colour", "blue"),
            ("colour", "RED"), ("even", "3"), ("even", "x"),
        ]
    )
    func refused(_ name: String, _ text: String) throws {
        var values = Outer()
        #expect(try !setting(name).set(text, in: &values))
        #expect(Outer.settings.map { $0.text(in: values) } == Outer.settings.map { $0.text(in: Outer()) })
        #expect(values.even == nil)
    }

    @Test("A value of a type with its own parser is set")
    func parsed() throws {
        var values = Outer()
        #expect(try setting("even").set("4", in: &values))
        #expect(values.even == 4)
    }

    @Test(
        "The accepted values are described in words",
        arguments: [
            ("max-depth", "from 1 to 9"), ("wait", "from 1 to 60 seconds"), ("count", "at least 0"), ("host", nil),
            ("file", nil), ("port", "from 0 to 65535"), ("colour", "one of red, green"), ("even", "an even number"),
        ] as [(String, String?)]
    )
    func words(_ name: String, _ accepted: String?) throws {
        #expect(try setting(name).accepted == accepted)
    }

    @Test(
        "The error about a number with a unit says that units are not accepted, and other errors say what is accepted",
        arguments: [
            ("max-depth", "3k", "a whole number of levels without a unit, from 1 to 9"),
            ("max-depth", "10", "from 1 to 9"),
            ("max-depth", "", "from 1 to 9"), ("max-depth", "x", "from 1 to 9"),
            ("wait", "30s", "a whole number of seconds without a unit, from 1 to 60"),
            ("wait", "0.5", "a whole number of seconds without a unit, from 1 to 60"),
            ("wait", "-1", "from 1 to 60 seconds"), ("count", "-1M", "a whole number without a unit, at least 0"),
            ("count", "9223372036854775808", "at least 0"),
            ("port", "80/tcp", "a whole number without a unit, from 0 to 65535"),
            ("colour", "1red", "one of red, green"), ("even", "3x", "an even number"),
        ]
    )
    func requirement(_ name: String, _ text: String, _ words: String) throws {
        #expect(try setting(name).requirement(of: text) == words)
    }

    @Test("A value set by the program has the same range as an option")
    func validity() {
        var values = Outer()
        values.inner.depth = 10
        values.inner.wait = .milliseconds(99)
        #expect(Outer.settings.filter { !$0.isValid(in: values) }.map(\.name) == ["max-depth", "wait"])
        values.inner.wait = .milliseconds(100)
        #expect(Outer.settings.filter { !$0.isValid(in: values) }.map(\.name) == ["max-depth"])
    }

    @Test("A setting is found by its key path, and has an environment variable")
    func places() throws {
        #expect(Inner.settingName(at: \.depth) == "max-depth")
        #expect(Inner.settingName(at: \.wait) == "wait")
        #expect(Outer.settingName(at: \.count) == "count")
        #expect(try setting("max-depth").environmentVariable == "WEIGHT_INIT_MAX_DEPTH")
        #expect(try setting("colour").choices == ["red", "green"])
        #expect(try setting("file").isFile)
    }
}
