"""What a token of the Penn Treebank's English is, as Stanford's PTBTokenizer of CoreNLP 3.4.1 sees it.

The rules are written from how that lexer behaves with pycocoevalcap's options (`-preserveLines
-lowerCase`) and are tested against it; what differs only in full stops, which the caption metrics
drop, is one rule here. A rule's name says what becomes of its text (`ptb.tokenise`).
"""

from inference.engine.metrics.lexer import Ranges, Rule
from inference.engine.metrics.ptb_characters import DIGITS, LETTERS

_MORE_LETTERS = (
    "\xad\u0237-\u024f\u02c2-\u02c5\u02d2-\u02df\u02e5-\u02ff\u0300-\u036f\u0370-\u037d\u0384\u0385\u03cf\u03f6\u03fc-\u03ff"
    "\u0483-\u0487\u04cf\u04f6-\u04ff\u0510-\u0525\u055a-\u055f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0615-\u061a"
    "\u063b-\u063f\u064b-\u065e\u0670\u06d6-\u06ef\u06fa-\u06ff\u070f\u0711\u0730-\u074f\u0750-\u077f\u07a6-\u07b1\u07ca-\u07f5"
    "\u07fa\u0900-\u0903\u093c\u093e-\u094e\u0951-\u0955\u0962-\u0963\u0981-\u0983\u09bc-\u09c4\u09c7\u09c8\u09cb-\u09cd\u09d7"
    "\u09e2\u09e3\u0a01-\u0a03\u0a3c\u0a3e-\u0a4f\u0a81-\u0a83\u0abc-\u0acf\u0b82\u0bbe-\u0bc2\u0bc6-\u0bc8\u0bca-\u0bcd"
    "\u0c01-\u0c03\u0c3e-\u0c56\u0d3e-\u0d44\u0d46-\u0d48\u0e30-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u0ec8-\u0ecd"
)
"""Marks and letters that join words beyond Java's letters."""
_SYMBOLS = (
    r"+%&~\^|\\¦§¨©¬®¯°-³´-º×÷"
    "\u0387\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u0600-\u0603\u0606-\u060a\u060c\u0614\u061b\u061e\u066a\u066d\u0703-\u070d"
    "\u07f6\u07f7\u07f8\u0964\u0965\u0e4f\u1fbd\u2016\u2017\u2020-\u2023\u2030-\u2038\u203b\u203e-\u2042\u2044\u207a-\u207f"
    "\u208a-\u208e\u2100-\u214f\u2190-\u21ff\u2200-\u2bff\u3012\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)

NAMES: dict[str, str | Ranges] = {
    "Letter": LETTERS,
    "Digit": DIGITS,
    "AnyDigit": "{Digit}|[\u07c0-\u07c9]",
    "Entity": "&[aeiouAEIOU](acute|grave|uml);",
    "WordLetter": "{Letter}|{Entity}|[" + _MORE_LETTERS + "]",
    "Alnum": "{Letter}|{Digit}",
    "WordPart": "({WordLetter})({WordLetter}|{AnyDigit})*",
    "Word": "{WordPart}([.!?]{WordPart})*",
    "Space": "[ \t\xa0\u2000-\u200a\u3000]",
    "Newline": "\r|\r?\n|[\u2028\u2029\x0b\x0c\x85]",
    "Blank": "{Space}|{Newline}",
    "Amp": "&amp;",
    "Apos": "['\x92\u2019]|&apos;",
    "AnyApos": "{Apos}|[`\x91\u2018\u201b]",
    "Hyphen": "[-_\u058a\u2010\u2011]",
    "Tag": (
        r"<([!?][A-Za-z\-][^>\r\n]*"
        r"|[A-Za-z][A-Za-z0-9_:.\-]*([ ]+([A-Za-z][A-Za-z0-9_:.\-]*|[A-Za-z][A-Za-z0-9_:.\-]*[ ]*=[ ]*('[^']*'|\"[^\"]*\")))*[ ]*/?"
        r"|/[A-Za-z][A-Za-z0-9_:.\-]*)[ ]*>"
    ),
    # Numbers
    "Number": "[-+]?(({AnyDigit})+|({AnyDigit})*([.:,\xad\u066b\u066c]({AnyDigit})+)+)",
    "Date": "({AnyDigit}){1,2}[-/]({AnyDigit}){1,2}[-/]({AnyDigit}){2,4}",
    "Raised": "[\u207a\u207b\u208a\u208b]?([\u2070\xb9\xb2\xb3\u2074-\u2079]+|[\u2080-\u2089]+)",
    "Fraction": "(({AnyDigit}){1,4}[- \xa0])?({AnyDigit}){1,4}(\\\\?/|\u2044)({AnyDigit}){1,4}",
    "Phone": (
        "(\\([0-9]{2,3}\\)[ \xa0]?|(\\+\\+?)?([0-9]{2,4}[- \xa0])?[0-9]{2,4}[- \xa0])[0-9]{3,4}[- \xa0]?[0-9]{3,5}"
        "|((\\+\\+?)?[0-9]{2,4}\\.)?[0-9]{2,4}\\.[0-9]{3,4}\\.[0-9]{3,5}"
    ),
    # Words with signs in them
    "Elided": "([dDoOlL]({AnyApos})({Alnum}))?",
    "Hyphenated": "{Elided}({Alnum})+({Hyphen}{Elided}({Alnum})+)*",
    "Slashed": r"[A-Za-z0-9]+(-[A-Za-z]+){0,2}(\\?/[A-Za-z0-9]+(-[A-Za-z]+){0,2}){1,2}",
    "Joined": "[A-Z]+(([+&]|{Amp})[A-Z]+)+",
    "Compound": "[A-Za-z0-9][A-Za-z0-9.,\xad]*(-([A-Za-z0-9\xad]+|({Acronym2})\\.))+",
    "Clitic": "({Apos})([msdMSD]|re|ve|ll)",
    "BeforeNot": "[A-Za-z\xad]*[A-MO-Za-mo-z]\xad*",
    "Not": "n({AnyApos})t",
    "ApostropheWord": (
        "({Apos})n({Apos})?|[lLdDjJ]({Apos})|(Dunkin|somethin|ol)({Apos})|({Apos})(em|[2-9]0s|till?|cause)"
        "|[A-HJ-XZn]({AnyApos}){Letter}{Letter}{Letter}*|{Letter}{Letter}*[aeiouyAEIOUY]({AnyApos})[aeiouA-Z]{Letter}*"
        "|cont'd\\.?|'twas|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l|O({AnyApos})o"
    ),
    "Known": (
        "-(RRB|LRB|RCB|LCB|RSB|LSB)-|C\\.D\\.s|pro-|anti-|S(&|{Amp})P-500|S(&|{Amp})Ls|Cap({Apos})n|c({Apos})est"
    ),
    # Addresses
    "Url": r"https?:/[/][^ \t\n\f\r\"<>|(){}]+[^ \t\n\f\r\"<>|.!?(){},-]",
    "Host": (
        r"((www\.([^ \t\n\f\r\"<>|.!?(){},]+\.)+[a-zA-Z]{2,4})|(([^ \t\n\f\r\"`'<>|.!?(){},-_$]+\.)+(com|net|org|edu)))"
        r"(/[^ \t\n\f\r\"<>|()]+[^ \t\n\f\r\"<>|.!?(){},-])?"
    ),
    "Email": (
        "(&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r\"<>|()\xa0{}]*@([^ \t\n\f\r\"<>|(){}.\xa0]+\\.)*([^ \t\n\f\r\"<>|(){}.\xa0]+)(&gt;|>)?"
    ),
    "Handle": "@[a-zA-Z_][a-zA-Z_0-9]*|#({WordLetter})+",
    "File": (
        "({WordLetter}|{AnyDigit})+([.]({WordLetter}|{AnyDigit})+)*[.](bat|bmp|c|class|cgi|cpp|dll|doc|docx|exe|gif|gz|h|htm|html|jar|java"
        "|jpeg|jpg|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip)"
    ),
    # Abbreviations
    "Usual": (
        "(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|Mon|Tue|Tues|Wed|Thu|Thurs|Fri"
        "|Ala|Ariz|[A]z|[A]rk|Calif|Colo|Conn|Ct|Dak|[D]el|Fla|Ga|[I]ll|Ind|Kans?|Ky|[L]a|[M]ass|Md|Mich|Minn|[M]iss|Mo|Mont|Neb|Nev"
        "|Okla|[O]re|[P]a|Penn|Tenn|[T]ex|Va|Vt|[W]ash|Wisc?|Wyo|Inc|Cos?|Corp|Pp?t[ye]s?|Ltd|Plc|Rt|Bancorp|Bhd|Assn|Univ|Intl|Sys"
        "|tel|est|ext|sq|Jr|Sr|Bros|(Ed|Ph)\\.D|Blvd|Rd|Esq|etc|al|seq|Bldg)\\."
    ),
    "Acronym": "[A-Za-z](\\.[A-Za-z])*|{Country}",
    "Acronym2": "[A-Za-z](\\.[A-Za-z])+|{Country}",
    "Country": "(Canada|Sino|Korean|EU|Japan|non)-U\\.S|U\\.S\\.-(U\\.K|U\\.S\\.S\\.R)",
    "Title": (
        "Mr|Mrs|Ms|[M]iss|Drs?|Profs?|Sens?|Reps?|Attys?|Lt|Col|Gen|Messrs|Govs?|Adm|Rev|Maj|Sgt|Cpl|Pvt|Capt|Ste?|Ave|Pres|Lieut|Hon|Brig"
        "|Co?mdr|Pfc|Spc|Supts?|Det|Mt|Ft|Adj|Adv|Asst|Assoc|Ens|Insp|Mlle|Mme|Msgr|Sfc"
        "|vs|Alex|Wm|Jos|Cie|a\\.k\\.a|cf|TREAS|Ph|{Acronym}|Invt|Elec|Natl|M[ft]g|Dept"
    ),
    "Sentence": (  # words that begin one: a capital, whatever follows
        "[A]bout|[A]ccording|[A]dditionally|[A]fter|[A]n|[A]|[A]s|[A]t|[B]ut|[E]arlier|[H]e|[H]er|[H]ere|[H]owever|[I]f|[I]n|[I]t|[L]ast|[M]any"
        "|[M]ore|[M]r\\.|[M]s\\.|[N]ow|[O]nce|[O]ne|[O]ther|[O]ur|[S]he|[S]ince|[S]o|[S]ome|[S]uch|[T]hat|[T]he|[T]heir|[T]hen|[T]here|[T]hese"
        "|[T]hey|[T]his|[W]e|[W]hen|[W]hile|[W]hat|[Y]et|[Y]ou|{Tag}"
    ),
    # Signs
    "Smiley": r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]",
    "EastSmiley": (
        r"[-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)"
    ),
    "Quotes": (
        "{Apos}|''|[`\u2018\u2019\u201a\u201b\u201c\u201d\x91\x92\x93\x94\u201e\u201f\u2039\u203a\xab\xbb]{1,2}|\"|&quot;"
    ),
}  # fmt: skip
"""Named patterns; a later one may use an earlier one."""

AS_IS, DROP = "as is", "drop"
RULES = (
    Rule(AS_IS, "c[+][+]"),
    Rule(AS_IS, "(c|f)#"),
    Rule("but 3", "cannot"),
    Rule("but 3", "'twas"),
    Rule("but 2", "'tis"),
    Rule("but 2", "gonna|gotta|lemme|gimme|wanna"),
    Rule("spaces", "{Tag}"),
    Rule("dash", "&(MD|mdash|ndash);|[\x96\x97\u2013\u2014\u2015]"),
    Rule("amp", "{Amp}"),
    Rule(AS_IS, "&(HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);"),
    Rule("soft", "{Word}", "{Clitic}"),
    Rule("soft", "{BeforeNot}", "{Not}"),
    Rule("soft", "{Word}"),
    Rule(AS_IS, "{ApostropheWord}"),
    Rule(AS_IS, "y({Apos})", "{Letter}"),
    Rule(AS_IS, "{Url}"),
    Rule(AS_IS, "{Host}"),
    Rule(AS_IS, "{Email}"),
    Rule(AS_IS, "{Handle}"),
    Rule("quotes", "{Clitic}", "[^A-Za-z]"),
    Rule("quotes", "{Not}", "[^A-Za-z]"),
    Rule(AS_IS, "{Date}"),
    Rule("soft", "{Number}"),
    Rule(AS_IS, "{Raised}"),
    Rule("spaces", "{Fraction}"),
    Rule("fraction", "[\xbc\xbd\xbe\u2153-\u215e]"),
    Rule("amp", "{Known}"),
    Rule(AS_IS, "{Slashed}"),
    Rule(AS_IS, "[A-Z]*[$]|#"),
    Rule(
        "currency", "[\xa2\xa3\xa4\xa5\x80\u20a0\u20ac\u060b\u0e3f\u20a4\uffe0\uffe1\uffe5\uffe6]"
    ),
    Rule("initial", "({Acronym})\\.", "({Blank})+({Sentence})({Blank})"),
    Rule(AS_IS, "(ca|figs?|prop|nos?|art|bldg|prop|pp|op)\\.", "({Blank})?{Digit}"),
    Rule(AS_IS, "(pt[eyEY]|co)\\.", "{Space}(ltd|lim)"),
    Rule(AS_IS, "{Usual}", "[^][^]|({Blank}){Tag}"),
    Rule(AS_IS, "{Usual}"),
    Rule(AS_IS, "({Title})\\."),
    Rule(AS_IS, "{Title}", "{Space}"),
    Rule(AS_IS, "{Acronym}", "{Blank}"),
    Rule(AS_IS, "({Apos})[0-9][0-9]", "{Blank}"),
    Rule(AS_IS, "{File}", "{Blank}|[.?!,]"),
    Rule("soft", "{Word}\\.", "[,;:\u3001]"),
    Rule("parentheses", "{Phone}"),
    Rule(DROP, "\x7f"),
    Rule("less", "<|&lt;"),
    Rule("more", ">|&gt;"),
    Rule("parentheses", "{Smiley}", "[^A-Za-z0-9]"),
    Rule("parentheses", "{EastSmiley}"),
    Rule("bracket", r"[\[\]{}()]"),
    Rule("hyphens", "-+"),
    Rule("dots", "\\.{3,5}|(\\.[ \xa0]){2,4}\\.|[\x85\u2026]"),
    Rule(AS_IS, "@+|#+|_+"),
    Rule(AS_IS, "[*]+|(\\\\[*]){1,3}"),
    Rule(AS_IS, "[,;:\u3001]"),
    Rule(AS_IS, "[?!]+"),
    Rule(AS_IS, "[.\xa1\xbf\u037e\u0589\u061f\u06d4\u0700-\u0702\u07fa\u3002=/]"),
    Rule("soft", "{Compound}\\.", "[,;:\u3001]"),
    Rule("soft", "{Compound}"),
    Rule(AS_IS, "{Hyphenated}\\.", "[,;:\u3001]"),
    Rule(AS_IS, "{Hyphenated}"),
    Rule("amp", "{Joined}\\.", "[,;:\u3001]"),
    Rule("amp", "{Joined}"),
    Rule("open quote", "'", "[A-Za-z][^ \t\n\r\xa0]"),
    Rule("quotes", "{Clitic}"),
    Rule("quotes", "{Not}"),
    Rule("quotes", "{Quotes}"),
    Rule(AS_IS, "<<|>>"),
    Rule(AS_IS, "[" + _SYMBOLS + "]"),
    Rule(DROP, "\0|({Space})+|[\u200b\u200e\u200f\ufeff]|{Newline}|&nbsp;"),
    Rule(DROP, "[^]"),
)
"""In order: of equally long matches the first counts."""
