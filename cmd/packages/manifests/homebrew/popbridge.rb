class Popbridge < Formula
  desc {{json .Summary}}
  homepage "{{.Homepage}}"
  url "{{.Homepage}}.git",
      tag:      "v{{.Version}}",
      revision: "{{.Commit}}"
  license "MIT"
  head "{{.Homepage}}.git", branch: "main"

  depends_on "go" => :build

  def install
    ENV["CGO_ENABLED"] = "0"
    system "go", "build", "-trimpath", *std_go_args(ldflags: "-s -w"), "./cmd/popbridge"
    generate_completions_from_executable(bin/"popbridge", "completion")
  end

  def caveats
    <<~EOS
      Try it with: popbridge demo
      popbridge open sets it up in the browser, popbridge setup in the terminal.
      popbridge install && popbridge start run it in the background.
    EOS
  end

  test do
    system bin/"popbridge", "demo", "--once"
  end
end
