package import ByteText
private import WeightInit

/// The release of the service, and the release of PyTorch that it reproduces.
public enum Release {
    /// The release of the service.
    public static let version = "1.0.0"
    /// The PyTorch release and the processor whose bits the service returns.
    package static let profile: Text = "torch-2.13"
    /// The profile, and how this host deviates from it. Two hosts with the same text make the same bits, so the text is
    /// part of every entity tag.
    static let bits: Text = profile + Text(Plan.hostDeviation)
}
