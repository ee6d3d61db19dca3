//! The browser helpers do what the browser tests of Kubelend rely on: on pages of Dex, and on pages made for this.

use std::time::Instant;

use anyhow::Result;
use testbed::{Browser, BrowserOptions, ColorScheme, Testbed};

type Test = Result<()>;

const PAGE: &str = "data:text/html;charset=utf-8,<!doctype html><html lang=en><title>A page</title><main><h1>Hello</h1>
<p id=p>no script</p><script>document.getElementById('p').textContent='script ran'</script>
<style>@media (prefers-color-scheme: dark) { h1::after { content: ' dark' } }</style>
<form><label>Role <select><option>view</option><option>edit on all</option></select></label>
<label>Name <input name=name value=old></label>
<label><input type=radio name=where value=a> Everywhere</label>
<button type=button onclick='document.title=1'>Press</button></form>
<a hidden href='about:blank'>Hidden</a><a href='about:blank'>Go on</a></main></html>";

fn page() -> String {
    PAGE.replace('%', "%25").replace('#', "%23").replace('\n', " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn things_are_found_by_role_and_name() -> Test {
    things_are_found(BrowserOptions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn things_are_found_by_role_and_name_in_the_shell() -> Test {
    things_are_found(BrowserOptions::for_pages()).await
}

async fn things_are_found(options: BrowserOptions) -> Test {
    let began = Instant::now();
    let browser = Browser::with(options).await?;
    println!("a browser after {:?}", began.elapsed());
    browser.goto(&page()).await?;
    assert_eq!(browser.title().await?, "A page");
    browser.see("script ran").await?;
    browser.find("heading", "Hello").await?;
    browser.select("Role", "edit on all").await?;
    assert_eq!(browser.find("combobox", "Role").await?.value().await?, "edit on all");
    assert_eq!(browser.find("combobox", "Role").await?.options().await?, ["view", "edit on all"]);
    browser.fill("Name", "new value").await?;
    assert_eq!(browser.find("textbox", "Name").await?.value().await?, "new value");
    browser.fill("Name", "").await?;
    assert_eq!(browser.find("textbox", "Name").await?.value().await?, "");
    browser.click("radio", "Everywhere").await?;
    assert!(browser.find("radio", "Everywhere").await?.is_checked().await?);
    assert!(!browser.has("link", "Hidden").await?, "what is hidden has no role");
    browser.click("button", "Press").await?;
    assert_eq!(browser.title().await?, "1");
    let size = browser.execute("return [innerWidth, innerHeight]", vec![]).await?;
    assert_eq!(size, serde_json::json!([1440, 900]));
    browser.set_viewport(360, 640).await?;
    assert_eq!(browser.execute("return innerWidth", vec![]).await?, 360);
    browser.set_color_scheme(ColorScheme::Dark).await?;
    let dark = "return matchMedia('(prefers-color-scheme: dark)').matches";
    assert_eq!(browser.execute(dark, vec![]).await?, true);
    let picture = browser.screenshot().await?;
    assert!(picture.starts_with(b"\x89PNG"));
    assert_eq!(u32::from_be_bytes(picture[16..20].try_into()?), 360, "as wide as the viewport");
    browser.click("link", "Go on").await?;
    browser.wait_for_url(|url| url == "about:blank").await?;
    browser.back().await?;
    browser.find("heading", "Hello dark").await?; // what styles add is heard too
    let violations = browser.axe().await?;
    assert!(violations.is_empty(), "{violations:?}");
    browser.goto("data:text/html,<title>x</title><img src=x>").await?;
    let rules: Vec<String> = browser.axe().await?.into_iter().map(|violation| violation.id).collect();
    assert!(rules.contains(&"image-alt".to_owned()), "{rules:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_person_could_use_is_used() -> Test {
    let browser = Browser::start().await?;
    let page = "data:text/html;charset=utf-8,<!doctype html><title>A page</title>
        <button onclick='document.title=1'>Covered</button><div style='position:fixed;inset:0 0 auto;height:99px'>over it</div>
        <label>Fixed <input readonly value=old></label><label>Off <input disabled value=old></label>
        <label>Role <select><option>view</option><option disabled>edit</option></select></label>
        <p style='height:3000px'></p><button onclick='document.title=2'>Far below</button>";
    browser.goto(&page.replace('\n', " ")).await?;
    let error = browser.click("button", "Covered").await.expect_err("something lies over it");
    assert!(format!("{error:#}").contains("over it lies <div"), "{error:#}");
    for field in ["Fixed", "Off"] {
        let error = browser.fill(field, "new").await.expect_err("nothing can be written there");
        assert!(format!("{error:#}").contains("nothing can be written in it"), "{error:#}");
        assert_eq!(browser.find("textbox", field).await?.value().await?, "old");
    }
    for option in ["edit", "admin"] {
        assert!(browser.select("Role", option).await.is_err(), "{option}");
        assert_eq!(browser.find("combobox", "Role").await?.value().await?, "view");
    }
    assert_eq!(browser.title().await?, "A page", "nothing was pressed");
    browser.click("button", "Far below").await?;
    assert_eq!(browser.title().await?, "2");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_javascript_pages_still_work() -> Test {
    let browser = Browser::with(BrowserOptions::without_javascript()).await?;
    browser.goto(&page()).await?;
    browser.see("no script").await?;
    browser.select("Role", "edit on all").await?;
    browser.fill("Name", "new value").await?;
    assert_eq!(browser.find("textbox", "Name").await?.value().await?, "new value");
    browser.click("button", "Press").await?;
    assert_eq!(browser.title().await?, "A page", "the button's script must not run");
    browser.click("link", "Go on").await?;
    browser.wait_for_url(|url| url == "about:blank").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_at_dex() -> Test {
    let testbed = Testbed::shared().await?;
    let (dex, bob) = (testbed.dex().await?, testbed.hire("bob", &[]).await?.email);
    for options in [BrowserOptions::default(), BrowserOptions::without_javascript()] {
        let browser = Browser::with(options).await?;
        let authorize = format!(
            "{}/auth?response_type=code&client_id=kubelend&scope=openid&state=s&redirect_uri={}",
            dex.issuer(),
            testbed::dex::LOOPBACK_REDIRECT
        );
        browser.goto(&authorize).await?;
        browser.sign_in_at_dex_with(&bob, "wrong").await?;
        browser.see("Invalid Email and password").await?;
        browser.sign_in_at_dex(&bob).await?;
        let url = browser.wait_for_url(|url| url.contains("code=")).await?;
        assert!(url.starts_with(testbed::dex::LOOPBACK_REDIRECT), "{url}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_used_again_remembers_nothing() -> Test {
    let browser = Browser::start().await?;
    let save = async |text: &str| {
        let script = "const [a, text] = [document.createElement('a'), arguments[0]];
            [a.href, a.download] = ['data:,' + text, text]; a.click()";
        browser.execute(script, vec![text.into()]).await
    };
    visit_and_leave_things(&browser).await?;
    save("x").await?;
    browser.download().await?;
    renews_as_new(&browser).await?;
    save("y").await?;
    assert_eq!(browser.take_download().await?, ("y.txt".to_owned(), "y".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_is_used_again_remembers_nothing_and_saves_nothing() -> Test {
    let browser = Browser::with(BrowserOptions::for_pages()).await?;
    visit_and_leave_things(&browser).await?;
    renews_as_new(&browser).await?;
    let error = browser.download().await.expect_err("it would be waited for in vain");
    assert!(format!("{error:#}").contains("saves nothing"), "{error:#}");
    let options = BrowserOptions { shell: true, ..BrowserOptions::without_javascript() };
    assert!(Browser::with(options).await.is_err(), "it would run scripts");
    Ok(())
}

const LEFT: &str = "return [document.cookie, localStorage.length, history.length]";

async fn visit_and_leave_things(browser: &Browser) -> Test {
    let page = site().await?;
    browser.goto("about:blank").await?;
    browser.goto(&page).await?;
    browser.execute("document.cookie = 'a=b; max-age=999'; localStorage.setItem('a', 'b')", vec![]).await?;
    browser.new_tab().await?;
    browser.goto(&page).await?;
    assert_eq!(browser.execute(LEFT, vec![]).await?, serde_json::json!(["a=b", 1, 2]));
    Ok(())
}

async fn renews_as_new(browser: &Browser) -> Test {
    browser.renew().await?;
    browser.goto(&site().await?).await?;
    assert_eq!(browser.execute(LEFT, vec![]).await?, serde_json::json!(["", 0, 2]));
    assert!(browser.cookies().await?.is_empty());
    Ok(())
}

/// A page of some site.
async fn site() -> anyhow::Result<String> {
    Ok(format!("{}/healthz", Testbed::shared().await?.dex().await?.issuer()))
}
