package test

// Where Dovecot and popbridge differ on purpose in ENVELOPE and BODYSTRUCTURE.
// Elsewhere they agree in every field of every message of the corpus.
const (
	closing = "RFC 2046 section 5.1.1: the line end before a boundary is of the boundary, also after a header and after the " +
		"last boundary of an inner multipart; Dovecot counts it to the message around that"
	noType  = "no type, or no subtype: Dovecot answers an empty string, here it is a type that clients know"
	loose   = "a parameter that breaks the rules for tokens is read as it was meant: unquoted, quote missing, semicolons missing or doubled"
	rfc2231 = "a boundary written as RFC 2231 has it is used"
	address = "a broken address list: here every address in it is found, Dovecot stops or makes up others"
	charset = "8-bit subject in the charset of the Content-Type"
	twice   = "a name that is an encoded word in an encoded word: the library does not encode what looks encoded already"
	junk    = "Content-Transfer-Encoding with a semicolon after it is taken"
)

var differ = map[string]string{
	"cpython-msg_33.eml":                                      rfc2231,
	"enmime-barren-content-type.eml":                          noType,
	"enmime-dsn_with_multipart_alternative.eml":               closing,
	"enmime-malformed-multiple-address-header-values.eml":     address,
	"enmime-mime-bad-content-type.eml":                        loose,
	"enmime-missing-closing-param-quote.eml":                  loose,
	"enmime-multi_recipient_dsn.eml":                          closing,
	"enmime-qp-utf8-header-recursed.eml":                      twice,
	"enmime-simple_dsn.eml":                                   closing,
	"enmime-simple_dsn_with_html.eml":                         closing,
	"enmime-unquoted-ctype-param-special.eml":                 loose,
	"flanker-broken-ctype.eml":                                noType,
	"flanker-enclosed-bad-encoding.eml":                       closing,
	"flanker-enclosed-broken-body.eml":                        closing,
	"flanker-enclosed.eml":                                    closing,
	"flanker-torture-part.eml":                                closing,
	"gluon-bounds.eml":                                        closing,
	"gluon-rfc822.eml":                                        closing,
	"mailcore2-1640-no-charset.eml":                           charset,
	"mailcore2-1798-korean.eml":                               charset,
	"mailcore2-2135-korean.eml":                               charset,
	"mailcore2-2765-korean.eml":                               address,
	"mailcore2-4850-russian.eml":                              charset,
	"mailcore2-headers.eml":                                   address,
	"mime4j-double-semicolon.eml":                             loose,
	"mime4j-multi-digest.eml":                                 noType,
	"mimekit-content-length.mbox-7.eml":                       address,
	"mimekit-feedback-report.eml":                             address,
	"mimekit-issue358.eml":                                    address,
	"mimekit-missing-subtype.eml":                             noType,
	"mimekit-rfc2060.eml":                                     closing,
	"mimekit-stack-overflow.eml":                              address,
	"mox-message-rfc822-multipart.eml":                        closing,
	"postal-mime-mimetorture.eml":                             closing,
	"ruby-mail-attachment_message_rfc822_inline_image.eml":    closing,
	"ruby-mail-attachment_with_unquoted_name.eml":             loose,
	"ruby-mail-content_transfer_encoding_with_semi_colon.eml": junk,
	"ruby-mail-example11.eml":                                 address,
	"ruby-mail-missing_body.eml":                              address,
	"ruby-mail-mix_caps_content_type.eml":                     address,
	"ruby-mail-raw_email_bad_time.eml":                        loose,
	"ruby-mail-raw_email_with_at_display_name.eml":            address,
	"ruby-mail-raw_email_with_binary_encoded.eml":             loose,
	"ruby-mail-raw_email_with_illegal_boundary.eml":           loose,
	"stalwart-mp-malformed-017.eml":                           loose,
	"stalwart-mp-malformed-022.eml":                           closing,
	"stalwart-mp-rfc-008.eml":                                 closing,
	"stalwart-mp-thirdparty-007.eml":                          closing,
	"stalwart-mp-thirdparty-015.eml":                          closing,
}
