package import ByteText

/// JSON Pointers, RFC 6901.
package enum JSONPointer {
    /// The pointer that consists of these names and indices.
    package static func text(of path: [Text]) -> Text {
        path.reduce("") { $0 + component($1) }
    }

    /// A component of a pointer: `~` and `/`, which have a meaning there, are escaped.
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
