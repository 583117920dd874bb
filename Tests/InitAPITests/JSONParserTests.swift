import ByteText
import Testing
import WeightInit

@testable import InitAPI

@Suite("The parser accepts exactly the JSON of RFC 8259")
struct JSONParserTests {
    @Test(
        "Valid JSON is accepted",
        arguments: [
            ("null", JSONValue.null),
            (" true\n", .boolean(true)),
            ("\t\r\nfalse ", .boolean(false)),
            ("0", .number("0")),
            ("-0", .number("-0")),
            ("-0.0e+00", .number("-0.0e+00")),
            ("123456789012345678901234567890", .number("123456789012345678901234567890")),
            ("1e9999", .number("1e9999")),
            ("1E-2", .number("1E-2")),
            (#""""#, ""),
            (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (#""\u0041\u00e9\u20AC""#, "Aé€"),
            (#""\ud83d\ude00""#, "😀"),
            (#""\u0000""#, "\u{0}"),
            (#""é€😀""#, "é€😀"),
            ("\"\u{7f}\u{2028}\u{feff}\"", "\u{7f}\u{2028}\u{feff}"),
            ("[]", .array([])),
            ("[ ]", .array([])),
            ("[1, [2], []]", .array([.number("1"), .array([.number("2")]), .array([])])),
            ("{}", .object([])),
            (#"{"b":1,"a":2}"#, ["b": .number("1"), "a": .number("2")]),
            (#"{ "" : { "a" : null } }"#, ["": ["a": .null]]),
        ] as [(String, JSONValue)]
    )
    func accepted(_ text: String, _ value: JSONValue) throws {
        #expect(try JSONParser.parse(Array(text.utf8)) == value)
    }

    @Test(
        "Invalid JSON is refused",
        arguments: [
            "", " ", "\n", "nul", "nulll", "True", "NULL", "undefined", "NaN", "Infinity", "-Infinity", "+1", "01",
            "-01",
            "00", "-", "1.", ".1", "1.e1", "1e", "1e+", "0x10", "1_000", "1 2", "1,", "--1", "'a'", "a", "\"", "\"a",
            #""\""#, #""\x41""#, #""\u12""#, #""\u12g4""#, #""\ud800""#, #""\udc00""#, #""\ud800\u0041""#,
            #""\ud800\ud800""#, #""\ud83d \ude00""#, "\"\u{1}\"", "\"\n\"", "\"\t\"", "[", "]", "[1", "[1,", "[1,]",
            "[,1]", "[1,,2]", "[1 2]", "[1}", "{", "}", "{]", #"{"a"}"#, #"{"a":}"#, #"{"a":1"#, #"{"a":1,}"#,
            #"{"a":1 "b":2}"#, #"{,"a":1}"#, "{a:1}", "{1:1}", #"{"a"=1}"#, #"{"a":1}}"#, "[] []", "// c\n1", "1 // c",
            "/* c */ 1", "\u{feff}1", "\u{a0}1", "1\u{0}", "\u{c}1", #"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#,
            #"{"a":{"b":1,"b":2}}"#,
        ]
    )
    func refused(_ text: String) {
        let error = #expect(throws: InitError.self) { try JSONParser.parse(Array(text.utf8)) }
        #expect(error?.kind == .invalid)
        #expect(error?.detail.contains("at byte ") == true)
    }

    @Test(
        "Bytes that are not UTF-8 are refused in strings",
        arguments: [
            [0xff], [0xc3], [0x80], [0xc0, 0xaf], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80],
            [0xf8, 0x88, 0x80, 0x80, 0x80],
        ] as [[UInt8]]
    )
    func invalidUTF8(_ bytes: [UInt8]) {
        #expect(throws: InitError.self) { try JSONParser.parse([0x22] + bytes + [0x22]) }
    }

    @Test("Names that Unicode calls equivalent are different members")
    func equivalentNames() throws {
        let text = "{\"\u{e9}\":1,\"e\u{301}\":2}"
        guard case .object(let members) = try JSONParser.parse(Array(text.utf8)) else {
            Issue.record("not an object")
            return
        }
        #expect(members.count == 2)
    }

    @Test("An error has the JSON pointer and the line and column of the fault")
    func place() {
        let text = "{\"layers\":\n [{},\n  {\"a\": tru}]}"
        let error = #expect(throws: InitError.self) { try JSONParser.parse(Array(text.utf8)) }
        #expect(error?.path == ["layers", "1", "a"])
        #expect(error?.detail.contains("at byte 25 (line 3, column 9)") == true, "\(error?.detail ?? "")")
    }

    @Test("The error about a duplicate member names the member and its place")
    func duplicate() {
        let error = #expect(throws: InitError.self) { try JSONParser.parse(Array(#"{"seed":1,"seed":2}"#.utf8)) }
        #expect(error?.path == ["seed"])
        #expect(error?.detail.contains("\"seed\" is given twice, at byte 10") == true)
    }

    @Test("Nesting ends at the limit", arguments: ["[", "{\"a\":"])
    func depth(_ opening: String) throws {
        let closing = opening == "[" ? "]" : "}"
        func nested(_ depth: Int) -> [UInt8] {
            let inner = opening == "[" ? "" : "0"
            return Array(
                (String(repeating: opening, count: depth) + inner + String(repeating: closing, count: depth)).utf8
            )
        }
        #expect(throws: Never.self) { try JSONParser.parse(nested(64)) }
        #expect(throws: InitError.self) { try JSONParser.parse(nested(65)) }
        #expect(throws: InitError.self) {
            try JSONParser.parse(Array(String(repeating: opening, count: 200_000).utf8))
        }
    }

    @Test("Values and digits end at their limits")
    func counts() {
        var limits = JSONLimits()
        limits.values = 4
        limits.numberBytes = 3
        #expect(throws: Never.self) { try JSONParser.parse(Array("[1,2,3]".utf8), limits: limits) }
        let error = #expect(throws: InitError.self) { try JSONParser.parse(Array("[1,2,3,4]".utf8), limits: limits) }
        #expect(error?.kind == .tooLarge)
        #expect(throws: Never.self) { try JSONParser.parse(Array("123".utf8), limits: limits) }
        #expect(throws: InitError.self) { try JSONParser.parse(Array("1234".utf8), limits: limits) }
    }

    @Test("No prefix of a JSON text traps")
    func prefixes() {
        let text = Array(#"{"a":[1.5e+3,-0,"\ud83d\ude00\n",true,false,null],"é":{"b":[]}}"#.utf8)
        for end in text.indices {
            #expect(throws: InitError.self) { try JSONParser.parse(Array(text[..<end])) }
        }
        for index in text.indices {
            for byte: UInt8 in [0, 0x22, 0x5c, 0x7b, 0x5d, 0xff] {
                var mutated = text
                mutated[index] = byte
                _ = try? JSONParser.parse(mutated)
            }
        }
    }

    @Test("Written JSON reads back", arguments: ["\u{0}\u{1f}\"\\/é😀", "", "a\nb"] as [Text])
    func strings(_ text: Text) throws {
        let value = JSONValue.array([.string(text), ["a": .double(-0.0), "b": .double(.nan), "c": .double(1e300)]])
        let read = try JSONParser.parse(value.encoded)
        #expect(read == .array([.string(text), ["a": .number("-0.0"), "b": "nan", "c": .number("1e300")]]))
    }
}
