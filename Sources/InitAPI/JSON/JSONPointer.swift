package import ByteText

/// JSON Pointers, RFC 6901.
package enum JSONPointer {
    /// The pointer to what these names and indices lead to.
    package static func text(of path: [Text]) -> Text {
        path.reduce("") { $0 + component($1) }
    }

    /// `~` and `/` have a meaning in a pointer.
    private static func component(_ name: Text) -> Text {
        var component = [UInt8(ascii: "/")]
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "~"): component += "~0".utf8
            case UInt8(ascii: "/"): component += "~1".utf8
            default: component.append(byte)
            }
        }
        return Text(decoding: component)
    }
}
