public import WeightInit

/// One row for each type: its names in the formats, and the code that reads its elements.
extension DType {
    private var row: (numPy: String?, safetensors: String, element: any TensorElement.Type) {
        switch self {
        case .float32: ("<f4", "F32", Float32Element.self)
        case .float64: ("<f8", "F64", Float64Element.self)
        case .float16: ("<f2", "F16", Float16Element.self)
        case .bfloat16: (nil, "BF16", BFloat16Element.self)
        case .int64: ("<i8", "I64", Int64Element.self)
        case .int32: ("<i4", "I32", Int32Element.self)
        case .int16: ("<i2", "I16", Int16Element.self)
        case .int8: ("|i1", "I8", Int8Element.self)
        case .uint8: ("|u1", "U8", UInt8Element.self)
        case .bool: ("|b1", "BOOL", BoolElement.self)
        }
    }

    /// Names of the type in a NumPy header, `nil` if NumPy has no such type, and in a safetensors header.
    public var names: (numPy: String?, safetensors: String) {
        (row.numPy, row.safetensors)
    }

    /// The type of the elements, for generic code.
    var element: any TensorElement.Type { row.element }
}
