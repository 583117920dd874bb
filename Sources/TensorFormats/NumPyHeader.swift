public import WeightInit

/// The header of a `.npy` file of version 1.0.
///
/// | bytes | content |
/// |---|---|
/// | 6 | `0x93` and `NUMPY` |
/// | 2 | the version: 1, 0 |
/// | 2 | bytes that follow of the header, little-endian |
/// | … | a Python dictionary as ASCII text, spaces, a line feed |
///
/// The dictionary has the keys `descr`, `fortran_order` and `shape`, in this order, and a comma after the last value:
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (64, 3, 7, 7), }`. A shape of one dimension is `(5,)`, a scalar's
/// is `()`. NumPy leaves room for the first dimension to grow to 21 digits, then pads to a multiple of 64 bytes, so
/// that the elements, row-major and little-endian, start aligned. The bytes are those that NumPy itself writes.
///
/// Source: `numpy/lib/_format_impl.py`.
public enum NumPyHeader {
    private static let digitsOfGrowth = 21
    private static let alignment = 64

    /// The header of a tensor.
    ///
    /// - Throws: `unrepresentable` for bfloat16, which NumPy does not have.
    public static func bytes(shape: Shape, dtype: DType) throws(FormatError) -> [UInt8] {
        guard let type = dtype.names.numPy else { throw .unrepresentable(dtype, in: .npy) }
        let dimensions = shape.dimensions.map(String.init)
        let tuple = dimensions.joined(separator: ", ") + (dimensions.count == 1 ? "," : "")
        var text = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(tuple)), }"
        if let first = dimensions.first {
            text += String(repeating: " ", count: digitsOfGrowth - first.utf8.count)
        }
        let prefix: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]
        let unpadded = prefix.count + 2 + text.utf8.count + 1
        text += String(repeating: " ", count: (alignment - unpadded % alignment) % alignment) + "\n"
        // 64 dimensions of 19 digits are far below the 65535 bytes that the field can hold.
        let length = UInt16(truncatingIfNeeded: text.utf8.count)
        return prefix + [UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8)] + Array(text.utf8)
    }
}
