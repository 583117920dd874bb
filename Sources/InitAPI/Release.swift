package import ByteText
private import WeightInit

/// The release that answers, and the release of PyTorch that it answers for.
public enum Release {
    /// The release of the service.
    public static let version = "1.0.0"
    /// The release of PyTorch, and the processor, whose bits these are.
    package static let profile: Text = "torch-2.13"
    /// The profile, and how this host deviates from it. Two hosts with the same text make the same bits: part of every tag.
    static let bits: Text = profile + Text(Plan.hostDeviation)
}
