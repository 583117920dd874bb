public import ByteText
public import WeightInit

/// An encoding of a tensor, or of several: one row of ``all``.
///
/// A format whose encoder is ``Encoder/file(header:)`` gets ranges, resumption and constant memory from it.
///
/// A class, because rows never change, and copying a reference costs less than copying a row.
public final class TensorFormat: Sendable {
    /// Value of the member `format`.
    public let name: Text
    public let mediaType: String
    /// Extensions of file names, without the dot.
    public let extensions: [String]
    /// Types that the format cannot hold.
    public let excludedTypes: [DType]
    public let encoder: Encoder

    private init(
        name: Text,
        mediaType: String,
        extensions: [String] = [],
        excludedTypes: [DType] = [],
        encoder: Encoder
    ) {
        (self.name, self.mediaType, self.extensions) = (name, mediaType, extensions)
        self.excludedTypes = excludedTypes
        self.encoder = encoder
    }

    /// The way in which the bytes of a format are made.
    public enum Encoder: Sendable {
        /// A header, then the elements of one tensor: little-endian, row-major. Without a header, shape and dtype must
        /// be sent beside the bytes.
        case file(header: (@Sendable (TensorDescription) throws(FormatError) -> [UInt8])?)
        /// A safetensors file of any number of tensors; see ``SafetensorsLayout``.
        case safetensors
        /// Numbers as text, within the JSON of the reply; see ``JSONTensorStream``.
        case numbers
        /// Statistics, within the JSON of the reply; see ``TensorSummary``.
        case statistics
    }

    // MARK: The formats

    /// All formats, in the order of preference of a client that accepts several equally.
    public static let all = [json, raw, npy, safetensors, summary]

    public static let json = TensorFormat(
        name: "json",
        mediaType: "application/json",
        extensions: ["json"],
        encoder: .numbers
    )

    public static let raw = TensorFormat(
        name: "raw",
        mediaType: "application/octet-stream",
        extensions: ["raw", "bin"],
        encoder: .file(header: nil)
    )

    public static let npy = TensorFormat(
        name: "npy",
        mediaType: "application/x-npy",
        extensions: ["npy"],
        excludedTypes: DType.allCases.filter { $0.names.numPy == nil },
        encoder: .file { tensor throws(FormatError) in
            try NumPyHeader.bytes(shape: tensor.shape, dtype: tensor.dtype)
        }
    )

    public static let safetensors = TensorFormat(
        name: "safetensors",
        mediaType: "application/x-safetensors",
        extensions: ["safetensors"],
        encoder: .safetensors
    )

    public static let summary = TensorFormat(name: "summary", mediaType: "application/json", encoder: .statistics)

    public static func named(_ name: Text) -> TensorFormat? {
        all.first { $0.name == name }
    }

    // MARK: Properties

    /// `true` if the format has room for one tensor only.
    public var holdsOneTensorOnly: Bool {
        if case .file = encoder { true } else { false }
    }

    /// The error for tensors of a type, if the format cannot hold the type.
    public func objection(to dtype: DType) -> FormatError? {
        excludedTypes.contains(dtype) ? .unrepresentable(dtype, in: self) : nil
    }
}

extension TensorFormat: Equatable {
    public static func == (left: TensorFormat, right: TensorFormat) -> Bool {
        left.name == right.name
    }
}
