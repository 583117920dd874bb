import ByteText
import Testing

@Suite("Text compares bytes")
struct TextTests {
    /// Pairs that compare equal as Swift strings.
    static let equivalents: [(Text, Text)] = [
        ("\u{e9}", "e\u{301}"), ("K", "\u{212a}"), ("a\u{301}\u{323}", "a\u{323}\u{301}"),
        ("\u{ac00}", "\u{1100}\u{1161}"),
        ("layer.\u{c5}", "layer.\u{212b}"),
    ]

    @Test("Canonically equivalent spellings are different texts in every comparison", arguments: equivalents)
    func equivalence(_ left: Text, _ right: Text) {
        #expect(left != right)
        #expect(Set([left, right]).count == 2)
        #expect([left: 1, right: 2].count == 2)
        #expect((left < right) != (right < left))
        #expect(!left.hasPrefix(right) && !right.hasPrefix(left))
        #expect(!left.hasSuffix(right) && !right.hasSuffix(left))
        #expect(!left.contains(right) && !right.contains(left))
        #expect(!left.equalsIgnoringASCIICase(right))
        #expect(left == Text(decoding: Array(left.utf8)))
        #expect(left.hashValue == Text(decoding: Array(left.utf8)).hashValue)
    }

    @Test("Only ASCII letters are folded")
    func folding() {
        #expect(Text("CHUNKED").equalsIgnoringASCIICase("chunked"))
        #expect(!Text("chun\u{212a}ed").equalsIgnoringASCIICase("chunked"))
        #expect(Text("ÀZ[@`{").asciiLowercased() == "Àz[@`{")
        #expect(!Text("@").equalsIgnoringASCIICase("`"))
        #expect(Text("\u{130}\u{212a}").asciiLowercased() == "\u{130}\u{212a}")
    }

    @Test("Texts are ordered by their bytes")
    func order() {
        let texts: [Text] = ["", "a", "a\0", "ab", "b", "z", "e\u{301}", "\u{e9}", "\u{ffff}", "\u{10000}"]
        for left in texts {
            for right in texts {
                let bytes = left.utf8.lexicographicallyPrecedes(right.utf8)
                #expect((left < right) == bytes, "\(left.quotedForMessage) < \(right.quotedForMessage)")
                #expect((left == right) == left.utf8.elementsEqual(right.utf8))
                #expect(left.hasPrefix(right) == left.utf8.starts(with: right.utf8))
            }
        }
    }

    @Test("A separator keeps its meaning before a combining mark")
    func splitting() {
        #expect(Text("a,\u{301}b,,c").split(separator: ",") == ["a", "\u{301}b", "", "c"])
        #expect(Text("a,b,,c").split(separator: ",", omittingEmptySubsequences: true) == ["a", "b", "c"])
        #expect(Text("a:b:c").split(separator: ":", maxSplits: 1) == ["a", "b:c"])
        #expect(Text("").split(separator: ",") == [""])
        #expect(Text(" \t a\u{a0} \t").trimmed == "a\u{a0}")
        #expect(Text(" \u{301}").trimmed == "\u{301}")
        #expect(Text("  ").trimmed.isEmpty)
    }

    @Test("Prefixes and suffixes are matched and removed by bytes")
    func removing() {
        #expect(Text("W/\u{301}").removing(prefix: "W/") == "\u{301}")
        #expect(Text("normal_").removing(suffix: "_") == "normal")
        #expect(Text("normal").removing(suffix: "_") == nil)
        #expect(Text("h.{}.{}").replacingFirst("{}", with: "12") == "h.12.{}")
        #expect(Text("{}\u{301}").replacingFirst("{}", with: "1") == "1\u{301}")
        #expect(Text("x").replacingFirst("{}", with: "1") == "x")
    }

    @Test("A quotation is short and has no control characters")
    func quotation() {
        #expect(Text("a\u{301}").quotedForMessage == "\"a\u{301}\"")
        #expect(Text("\n\u{7f}").quotedForMessage == "\"\u{fffd}\u{fffd}\"")
        let long = Text("a" + String(repeating: "\u{301}", count: 100_000))
        #expect(long.quotedForMessage.utf8.count < 140)
    }

    private enum Word: String, CaseIterable {
        case kelvin = "K"
    }

    @Test("A case is found by the bytes of its raw value")
    func cases() {
        #expect(Word("K" as Text) == .kelvin)
        #expect(Word("\u{212a}" as Text) == nil)
        #expect(Word("k" as Text) == nil)
    }
}
