import ByteText
import Foundation
import TensorFormats
import Testing
import WeightInit

struct JSONWriterTests {
    private func text(_ body: (inout JSONWriter) throws -> Void) rethrows -> String {
        var writer = JSONWriter()
        try body(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test("Members keep their order, with commas between them")
    func membersKeepTheirOrderAndCommas() throws {
        let written = try text { writer in
            let shape = try Shape([2, 3])
            writer.object { writer in
                writer.member("b", 1)
                writer.member("a", [1.5, -0.0])
                writer.member("empty", [Int]())
                writer.object("o") { writer in
                    writer.member("x", true)
                    writer.member("y", String?.none)
                }
                writer.array("l") { writer in
                    writer.value("s")
                    writer.object { _ in }
                    writer.array { _ in }
                    writer.null()
                    writer.raw("[0]".utf8)
                }
                writer.member("shape", shape)
                writer.member("dtype", DType.bfloat16)
                writer.member("big", UInt64.max)
            }
        }
        #expect(
            written == #"{"b":1,"a":[1.5,-0.0],"empty":[],"o":{"x":true,"y":null},"l":["s",{},[],null,[0]],"#
                + #""shape":[2,3],"dtype":"bfloat16","big":18446744073709551615}"#
        )
    }

    @Test("Strings are escaped where they must be, and only there")
    func stringsAreEscapedWhereTheyMust() throws {
        let all = String(String.UnicodeScalarView((0...0x2fff).compactMap(Unicode.Scalar.init))) + "\u{1f600}\u{10ffff}"
        let written = text { $0.value(all) }
        let parsed = try JSONSerialization.jsonObject(with: Data(written.utf8), options: .fragmentsAllowed)
        #expect((parsed as? String).map { Array($0.unicodeScalars) } == Array(all.unicodeScalars))
        #expect(
            text { $0.value("\u{8}\t\n\u{c}\r\u{0}\u{1f}\"\\/\u{7f}é") } == #""\b\t\n\f\r\u0000\u001f\"\\/"#
                + "\u{7f}é\""
        )
        #expect(text { $0.object { $0.member("\"k\"", 0) } } == #"{"\"k\"":0}"#)
    }

    @Test(
        "float64 is written in its shortest digits",
        arguments: [
            (1.3867504905630728, "1.3867504905630728"), (1, "1.0"), (-0.0, "-0.0"), (1e-5, "1e-05"), (1e300, "1e+300"),
            (Double.leastNonzeroMagnitude, "5e-324"), (.infinity, #""inf""#), (-.infinity, #""-inf""#),
            (.nan, #""nan""#),
            (0.1 + 0.2, "0.30000000000000004"),
        ]
    )
    func float64IsWrittenInItsShortest(value: Double, expected: String) {
        #expect(text { $0.value(value) } == expected)
        // A buffer with content gives the same.
        #expect(text { $0.value([value, value]) } == "[\(expected),\(expected)]")
    }

    @Test("The smallest and largest integers are written exactly")
    func theLeastAndGreatestIntegersAre() {
        #expect(text { $0.value([Int.min, Int.max]) } == "[-9223372036854775808,9223372036854775807]")
    }
}
